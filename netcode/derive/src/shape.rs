//! From a field's type and attributes to its shape on the wire. Owns which attribute suits which type and what
//! the programmer is told otherwise; must never know what code a shape becomes.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, ExprUnary, Field, GenericArgument, Ident, Lit, PathArguments, Type, UnOp};

use crate::attributes::FieldAttributes;

/// How a field lies on the wire.
pub(crate) enum Shape {
    /// Floats on a grid, one a component.
    Range {
        grid: Box<Grid>,
        parts: &'static [&'static str],
    },
    /// Floats bit for bit, one a component.
    Raw {
        parts: &'static [&'static str],
    },
    Angle {
        bits: u32,
        far: Option<u32>,
    },
    Quat {
        bits: u32,
        far: Option<u32>,
    },
    Unsigned {
        bits: u32,
        opaque: bool,
    },
    Signed {
        bits: u32,
    },
    /// 64 bits in two columns; the type is cast to `u64`.
    Wide,
    Bool,
    NetId,
    /// `Option<NetId>`: an entity that may not be there.
    Reference,
    Enumeration,
    /// Text or bytes in a component: their length, then four bytes a column.
    Packed {
        max: u32,
        text: bool,
    },
    /// Messages only, from here on.
    Text {
        max: Expr,
    },
    Blob {
        max: Expr,
    },
    List {
        item: Box<Type>,
        max: Expr,
    },
    Nested,
}

/// The arguments of a grid: expressions, so that a game may name its constants.
pub(crate) struct Grid {
    pub(crate) min: Expr,
    pub(crate) max: Expr,
    pub(crate) step: Expr,
    pub(crate) far_step: Option<Expr>,
}

/// For whom a shape is sought: messages know more shapes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    Columns,
    Message,
}

impl Shape {
    pub(crate) fn of(field: &Field, attributes: FieldAttributes, purpose: For) -> syn::Result<Self> {
        let span = field.ty.span();
        if attributes.enumeration.is_some() {
            attributes.refuse_but(&["enumeration"], "an enumeration")?;
            return Ok(Self::Enumeration);
        }
        let name = last_ident(&field.ty).map(Ident::to_string).unwrap_or_default();
        match name.as_str() {
            "f32" => float(attributes, span, purpose, &[""]),
            "Vec2" => float(attributes, span, purpose, &["x", "y"]),
            "Vec3" | "Vec3A" => float(attributes, span, purpose, &["x", "y", "z"]),
            "Quat" => quat(&attributes, span),
            "u8" => unsigned(&attributes, 8),
            "u16" => unsigned(&attributes, 16),
            "u32" => unsigned(&attributes, 32),
            "i8" => signed(&attributes, 8),
            "i16" => signed(&attributes, 16),
            "i32" => signed(&attributes, 32),
            "u64" | "i64" => plain(&attributes, Self::Wide, "a 64-bit integer"),
            "bool" => plain(&attributes, Self::Bool, "a flag"),
            "NetId" => plain(&attributes, Self::NetId, "an entity's name"),
            "Option" if purpose == For::Columns && is_reference(&field.ty) => {
                plain(&attributes, Self::Reference, "an entity's name")
            }
            "String" if purpose == For::Columns => packed(&attributes, span, true),
            "Vec" if purpose == For::Columns && is_bytes(&field.ty) => packed(&attributes, span, false),
            "String" if purpose == For::Message => Ok(Self::Text { max: limit(&attributes, span)? }),
            "Vec" if purpose == For::Message => list(&attributes, &field.ty),
            _ if purpose == For::Message => plain(&attributes, Self::Nested, "a message inside a message"),
            _ => Err(syn::Error::new(span, UNKNOWN_TYPE)),
        }
    }
}

fn float(
    attributes: FieldAttributes,
    span: Span,
    purpose: For,
    parts: &'static [&'static str],
) -> syn::Result<Shape> {
    if attributes.angle.is_some() {
        attributes.refuse_but(&["angle", "bits", "far_bits"], "an angle")?;
        if parts.len() > 1 {
            return Err(syn::Error::new(span, "an angle is one `f32`, in radians"));
        }
        let bits = bits_in(&attributes, 1..=20, span, "an angle needs `bits = …`")?;
        return Ok(Shape::Angle { bits, far: far_bits(&attributes, 1, bits)? });
    }
    if attributes.raw.is_some() {
        attributes.refuse_but(&["raw"], "a raw float")?;
        return Ok(Shape::Raw { parts });
    }
    attributes.refuse_but(&["range", "step", "far_step"], "a float on a grid")?;
    match (attributes.range, attributes.step) {
        (Some((min, max)), Some(step)) => {
            let grid = Grid { far_step: far_step(attributes.far_step, &step)?, ..grid(min, max, step)? };
            Ok(Shape::Range { grid: Box::new(grid), parts })
        }
        (Some((min, _)), None) => Err(syn::Error::new(min.span(), "a range needs `step = …` as well")),
        (None, Some(step)) => Err(syn::Error::new(step.span(), "a step needs `range(min..=max)` as well")),
        (None, None) if purpose == For::Message => Ok(Shape::Raw { parts }),
        (None, None) => Err(syn::Error::new(span, FLOAT)),
    }
}

fn quat(attributes: &FieldAttributes, span: Span) -> syn::Result<Shape> {
    attributes.refuse_but(&["quat", "bits", "far_bits"], "a rotation")?;
    let missing = "a rotation says how fine it is: `#[net(quat, bits = 10)]`";
    if attributes.quat.is_none() {
        return Err(syn::Error::new(span, missing));
    }
    let bits = bits_in(attributes, 2..=20, span, missing)?;
    Ok(Shape::Quat { bits, far: far_bits(attributes, 2, bits)? })
}

/// How many bits are left from afar.
fn far_bits(attributes: &FieldAttributes, least: u32, bits: u32) -> syn::Result<Option<u32>> {
    match attributes.far_bits {
        Some((far, span)) if far < least || far >= bits => {
            let text = match least < bits {
                true => format!("from afar it has fewer bits than near by: {least} to {}", bits - 1),
                false => "it has as few bits as can be: leave out `far_bits`".to_owned(),
            };
            Err(syn::Error::new(span, text))
        }
        far => Ok(far.map(|(far, _)| far)),
    }
}

/// A coarser step, that is one.
fn far_step(far_step: Option<Expr>, step: &Expr) -> syn::Result<Option<Expr>> {
    if let Some(far) = &far_step
        && let (Some(number), Some(step)) = (literal(far), literal(step))
        && number < step * 2.0
    {
        let text =
            format!("from afar it is coarser: a step of {} at least, which is twice `step`", step * 2.0);
        return Err(syn::Error::new(far.span(), text));
    }
    Ok(far_step)
}

fn unsigned(attributes: &FieldAttributes, width: u32) -> syn::Result<Shape> {
    if let Some(span) = attributes.signed {
        return Err(syn::Error::new(span, "`signed` on an unsigned integer"));
    }
    attributes.refuse_but(&["bits", "opaque"], "an unsigned integer")?;
    let bits = integer_bits(attributes, width)?;
    Ok(Shape::Unsigned { bits, opaque: attributes.opaque.is_some() })
}

fn signed(attributes: &FieldAttributes, width: u32) -> syn::Result<Shape> {
    attributes.refuse_but(&["bits", "signed"], "a signed integer")?;
    Ok(Shape::Signed { bits: integer_bits(attributes, width)? })
}

fn plain(attributes: &FieldAttributes, shape: Shape, what: &str) -> syn::Result<Shape> {
    attributes.refuse_but(&[], what)?;
    Ok(shape)
}

fn list(attributes: &FieldAttributes, ty: &Type) -> syn::Result<Shape> {
    let max = limit(attributes, ty.span())?;
    let item = item_of(ty).ok_or_else(|| syn::Error::new(ty.span(), "expected `Vec<T>`"))?;
    if last_ident(item).is_some_and(|ident| ident == "u8") {
        return Ok(Shape::Blob { max });
    }
    Ok(Shape::List { item: Box::new(item.clone()), max })
}

fn packed(attributes: &FieldAttributes, span: Span, text: bool) -> syn::Result<Shape> {
    let max = limit(attributes, span)?;
    match literal(&max) {
        Some(bytes) if bytes.fract() == 0.0 && (1.0..=PACKED_BYTES_MAX).contains(&bytes) => {
            Ok(Shape::Packed { max: bytes as u32, text })
        }
        _ => Err(syn::Error::new(max.span(), PACKED)),
    }
}

/// The number that an expression is, where it is plainly written: `-64.0`, `16`.
pub(crate) fn literal(expression: &Expr) -> Option<f64> {
    match expression {
        Expr::Lit(ExprLit { lit: Lit::Float(float), .. }) => float.base10_parse().ok(),
        Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) => int.base10_parse().ok(),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => literal(expr).map(|number| -number),
        Expr::Group(group) => literal(&group.expr),
        Expr::Paren(paren) => literal(&paren.expr),
        _ => None,
    }
}

/// A grid that can be: what is plainly written is judged here, in words; what is not, by the compiler.
fn grid(min: Expr, max: Expr, step: Expr) -> syn::Result<Grid> {
    let wrong = |at: &Expr, text: String| Err(syn::Error::new(at.span(), text));
    if let (Some(from), Some(to)) = (literal(&min), literal(&max)) {
        if from >= to {
            return wrong(&min, format!("this range is empty: it begins at {from} and ends at {to}"));
        }
        if let Some(by) = literal(&step) {
            if by <= 0.0 {
                return wrong(&step, "a step is greater than zero".to_owned());
            }
            let finest = from.abs().max(to.abs()) / STEPS_MAX;
            if by < finest {
                let text = format!("`f32` is not that fine over this range: a step of {finest:.2e} at least");
                return wrong(&step, text);
            }
            if by > (to - from) * 2.0 {
                return wrong(
                    &step,
                    format!("this step is longer than the range, which is {} long", to - from),
                );
            }
        }
    }
    Ok(Grid { min, max, step, far_step: None })
}

fn limit(attributes: &FieldAttributes, span: Span) -> syn::Result<Expr> {
    attributes.refuse_but(&["max"], "a string or list")?;
    attributes.max.clone().ok_or_else(|| syn::Error::new(span, LIMIT))
}

fn integer_bits(attributes: &FieldAttributes, width: u32) -> syn::Result<u32> {
    match attributes.bits {
        None => Ok(width),
        Some((bits, _)) if (1..=width).contains(&bits) => Ok(bits),
        Some((_, span)) => Err(syn::Error::new(span, format!("this integer has 1 to {width} bits"))),
    }
}

fn bits_in(
    attributes: &FieldAttributes,
    allowed: std::ops::RangeInclusive<u32>,
    missing_at: Span,
    missing: &str,
) -> syn::Result<u32> {
    let (bits, span) = attributes.bits.ok_or_else(|| syn::Error::new(missing_at, missing))?;
    if allowed.contains(&bits) {
        return Ok(bits);
    }
    Err(syn::Error::new(span, format!("expected {} to {} bits", allowed.start(), allowed.end())))
}

/// The last word of a path: `Vec2` of `glam::Vec2`.
fn last_ident(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
        Type::Group(group) => last_ident(&group.elem),
        _ => None,
    }
}

fn is_bytes(ty: &Type) -> bool {
    item_of(ty).and_then(last_ident).is_some_and(|ident| ident == "u8")
}

fn is_reference(ty: &Type) -> bool {
    item_of(ty).and_then(last_ident).is_some_and(|ident| ident == "NetId")
}

fn item_of(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(item) => Some(item),
        _ => None,
    }
}

/// 2^22: the steps that `f32` resolves up to the greater end of a range (`netcode_wire::quant::Range`).
const STEPS_MAX: f64 = 4_194_304.0;
/// 4 × (64 columns − 1 for the length − 1 for something else).
const PACKED_BYTES_MAX: f64 = 248.0;
const PACKED: &str = "in a component this is a number from 1 to 248: its columns are there whether they are used or not \
                      (longer text goes into a message)";
const FLOAT: &str = "a float says how it is rounded: `#[net(range(-64.0..=64.0), step = 0.005)]`, \
                     `#[net(angle, bits = 12)]` for one `f32` in radians, or `#[net(raw)]` for all 32 bits";
const LIMIT: &str = "a string or list says how long it may be: `#[net(max = 64)]`";
const UNKNOWN_TYPE: &str = "no columns for this type: use `f32`, `Vec2`, `Vec3`, `Quat`, an integer, `bool`, `NetId`, \
                            `Option<NetId>`, `String` or `Vec<u8>` with `#[net(max = 16)]`, or an enum that has `#[derive(Enumeration)]`, marked `#[net(enumeration)]`";
