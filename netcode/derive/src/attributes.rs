//! Reads `#[net(…)]`. Owns the words of the attribute language; must never know which word suits which type.

use std::num::NonZeroU8;

use proc_macro2::Span;
use syn::meta::ParseNestedMeta;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, LitInt, LitStr, Path, RangeLimits, Token};

/// What `#[net(…)]` says of a field.
#[derive(Default)]
pub(crate) struct FieldAttributes {
    pub(crate) range: Option<(Expr, Expr)>,
    pub(crate) step: Option<Expr>,
    /// What of it travels to who is far.
    pub(crate) far_step: Option<Expr>,
    pub(crate) far_bits: Option<(u32, Span)>,
    pub(crate) bits: Option<(u32, Span)>,
    pub(crate) max: Option<Expr>,
    pub(crate) angle: Option<Span>,
    pub(crate) quat: Option<Span>,
    pub(crate) raw: Option<Span>,
    pub(crate) signed: Option<Span>,
    pub(crate) opaque: Option<Span>,
    pub(crate) enumeration: Option<Span>,
    /// What stands in where another build does not send the field; `Some(None)`: the type's own default.
    pub(crate) default: Option<Option<Expr>>,
    pub(crate) rename: Option<LitStr>,
}

/// What `#[net(…)]` says of a type.
pub(crate) struct TypeAttributes {
    pub(crate) krate: Path,
    /// The name on the wire, where it is not the type's.
    pub(crate) rename: Option<LitStr>,
    pub(crate) predicted: Option<Span>,
    /// Who may see it; `None`: everyone.
    pub(crate) visible: Option<Visible>,
    /// Ticks from one time that it is told to the next.
    pub(crate) every: u8,
    /// What who is far is told less of.
    pub(crate) far: Option<Far>,
    pub(crate) interpolated: bool,
    /// The function that `predictor` names; `None`: none.
    pub(crate) predictor: Option<Predictor>,
}

/// What `far(…)` says.
pub(crate) struct Far {
    pub(crate) beyond: Expr,
    pub(crate) every: Option<u8>,
    pub(crate) span: Span,
}

/// What `visible = …` says.
pub(crate) enum Visible {
    Owner,
    /// A constant of the game's.
    Given(Box<Expr>),
}

/// What `predictor = …` says.
pub(crate) enum Predictor {
    Linear,
    Given(Path),
}

impl FieldAttributes {
    pub(crate) fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut found = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("net")) {
            attribute.parse_nested_meta(|meta| {
                let word = meta.path.require_ident()?.to_string();
                let span = meta.path.span();
                match word.as_str() {
                    "range" => {
                        let inner;
                        syn::parenthesized!(inner in meta.input);
                        once(&mut found.range, bounds(&inner)?, span)
                    }
                    "step" => once(&mut found.step, meta.value()?.parse()?, span),
                    "far_step" => once(&mut found.far_step, meta.value()?.parse()?, span),
                    "far_bits" => {
                        let literal: LitInt = meta.value()?.parse()?;
                        once(&mut found.far_bits, (literal.base10_parse()?, literal.span()), span)
                    }
                    "max" => once(&mut found.max, meta.value()?.parse()?, span),
                    "bits" => {
                        let literal: LitInt = meta.value()?.parse()?;
                        once(&mut found.bits, (literal.base10_parse()?, literal.span()), span)
                    }
                    "angle" => once(&mut found.angle, span, span),
                    "quat" => once(&mut found.quat, span, span),
                    "raw" => once(&mut found.raw, span, span),
                    "signed" => once(&mut found.signed, span, span),
                    "opaque" => once(&mut found.opaque, span, span),
                    "enumeration" => once(&mut found.enumeration, span, span),
                    "rename" => once(&mut found.rename, name(meta.value()?)?, span),
                    "default" => {
                        let value =
                            if meta.input.peek(Token![=]) { Some(meta.value()?.parse()?) } else { None };
                        once(&mut found.default, value, span)
                    }
                    _ => Err(meta.error(FIELD_WORDS)),
                }
            })?;
        }
        Ok(found)
    }

    /// Every word that is set and is not among `allowed`, with its place: nothing is ignored in silence.
    pub(crate) fn refuse_but(&self, allowed: &[&str], what: &str) -> syn::Result<()> {
        let set = [
            ("range", self.range.as_ref().map(|(min, _)| min.span())),
            ("step", self.step.as_ref().map(Spanned::span)),
            ("bits", self.bits.map(|(_, span)| span)),
            ("far_step", self.far_step.as_ref().map(Spanned::span)),
            ("far_bits", self.far_bits.map(|(_, span)| span)),
            ("max", self.max.as_ref().map(Spanned::span)),
            ("angle", self.angle),
            ("quat", self.quat),
            ("raw", self.raw),
            ("signed", self.signed),
            ("opaque", self.opaque),
            ("enumeration", self.enumeration),
        ];
        for (word, span) in set {
            if let Some(span) = span
                && !allowed.contains(&word)
            {
                return Err(syn::Error::new(span, format!("`{word}` means nothing for {what}")));
            }
        }
        Ok(())
    }
}

impl TypeAttributes {
    pub(crate) fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let krate = syn::parse_quote!(::netcode_snapshot);
        let mut found = Self {
            krate,
            rename: None,
            predicted: None,
            visible: None,
            every: 1,
            far: None,
            interpolated: true,
            predictor: None,
        };
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("net")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("predicted") {
                    found.predicted = Some(meta.path.span());
                } else if meta.path.is_ident("rename") {
                    found.rename = Some(name(meta.value()?)?);
                } else if meta.path.is_ident("crate") {
                    found.krate = meta.value()?.parse()?;
                } else if meta.path.is_ident("visible") {
                    found.visible = visible(meta.value()?)?;
                } else if meta.path.is_ident("every") {
                    found.every = every(meta.value()?)?;
                } else if meta.path.is_ident("far") {
                    once(&mut found.far, far(&meta)?, meta.path.span())?;
                } else if meta.path.is_ident("predictor") {
                    found.predictor = predictor(meta.value()?)?;
                } else if meta.path.is_ident("interpolate") {
                    let how: LitStr = meta.value()?.parse()?;
                    found.interpolated = match how.value().as_str() {
                        "linear" => true,
                        "none" => false,
                        _ => return Err(syn::Error::new(how.span(), "expected \"linear\" or \"none\"")),
                    };
                } else {
                    return Err(meta.error(TYPE_WORDS));
                }
                Ok(())
            })?;
        }
        if let Some(span) = found.predicted.filter(|_| found.visible.is_some() || found.every > 1) {
            let text = "a predicted component is shown to whoever is shown the entity, every tick: leave out `visible` \
                        and `every`";
            return Err(syn::Error::new(span, text));
        }
        Ok(found)
    }
}

fn every(input: ParseStream<'_>) -> syn::Result<u8> {
    let literal: LitInt = input.parse()?;
    let wrong = |_| syn::Error::new(literal.span(), "every 1 to 255 ticks: `#[net(every = 6)]`");
    Ok(literal.base10_parse::<NonZeroU8>().map_err(wrong)?.get())
}

fn far(meta: &ParseNestedMeta<'_>) -> syn::Result<Far> {
    let span = meta.path.span();
    if !meta.input.peek(syn::token::Paren) {
        return Err(syn::Error::new(span, FAR));
    }
    let (mut beyond, mut often) = (None, None);
    meta.parse_nested_meta(|meta| {
        let at = meta.path.span();
        if meta.path.is_ident("beyond") {
            once(&mut beyond, meta.value()?.parse::<Expr>()?, at)
        } else if meta.path.is_ident("every") {
            once(&mut often, every(meta.value()?)?, at)
        } else {
            Err(meta.error(FAR))
        }
    })?;
    Ok(Far { beyond: beyond.ok_or_else(|| syn::Error::new(span, FAR))?, every: often, span })
}

/// A name in quotes, or a constant of the game's.
fn visible(input: ParseStream<'_>) -> syn::Result<Option<Visible>> {
    if !input.peek(LitStr) {
        return Ok(Some(Visible::Given(Box::new(input.parse()?))));
    }
    let name: LitStr = input.parse()?;
    match name.value().as_str() {
        "owner" => Ok(Some(Visible::Owner)),
        "everyone" => Ok(None),
        _ => Err(syn::Error::new(name.span(), VISIBLE)),
    }
}

/// A name on the wire, in quotes.
fn name(input: ParseStream<'_>) -> syn::Result<LitStr> {
    let name: LitStr = input.parse()?;
    match name.value().len() {
        1..=NAME_BYTES_MAX => Ok(name),
        _ => Err(syn::Error::new(name.span(), format!("a name has 1 to {NAME_BYTES_MAX} bytes"))),
    }
}

/// A name in quotes, or the path of a function.
fn predictor(input: ParseStream<'_>) -> syn::Result<Option<Predictor>> {
    if !input.peek(LitStr) {
        return Ok(Some(Predictor::Given(input.parse()?)));
    }
    let name: LitStr = input.parse()?;
    match name.value().as_str() {
        "linear" => Ok(Some(Predictor::Linear)),
        "none" => Ok(None),
        _ => Err(syn::Error::new(name.span(), "expected \"linear\", \"none\" or the path of a function")),
    }
}

fn once<T>(place: &mut Option<T>, value: T, span: Span) -> syn::Result<()> {
    match place.replace(value) {
        Some(_) => Err(syn::Error::new(span, "said twice")),
        None => Ok(()),
    }
}

fn bounds(input: ParseStream<'_>) -> syn::Result<(Expr, Expr)> {
    let expression: Expr = input.parse()?;
    let span = expression.span();
    let wrong = || syn::Error::new(span, "expected both bounds, the last included: `range(-64.0..=64.0)`");
    let Expr::Range(range) = expression else { return Err(wrong()) };
    match (range.start, range.limits, range.end) {
        (Some(min), RangeLimits::Closed(_), Some(max)) => Ok((*min, *max)),
        _ => Err(wrong()),
    }
}

const FIELD_WORDS: &str = "expected one of `range(min..=max)`, `step = …`, `angle`, `quat`, `raw`, `bits = …`, \
                           `far_step = …`, `far_bits = …`, `signed`, `opaque`, `enumeration`, `max = …`, `default`, `default = …`, `rename = \"…\"`";
const FAR: &str = "from what distance on it is told less: `far(beyond = 60.0)`, or, less often too, \
                   `far(beyond = 60.0, every = 4)`";
/// Without the axis that a vector's column has in its name: `netcode_snapshot` takes 96 in all.
const NAME_BYTES_MAX: usize = 80;
const VISIBLE: &str = "expected \"everyone\", \"owner\" or an audience of the game's: `visible = TEAM`, where \
                       `const TEAM: Audience = Audience::custom(2)`";
const TYPE_WORDS: &str = "expected one of `predicted`, `visible = \"everyone\" | \"owner\" | AUDIENCE`, `every = 6`, \
                          `far(beyond = 60.0, every = 4)`, `interpolate = \"linear\" | \"none\"`, \
                          `predictor = \"linear\" | \"none\" | path`, `rename = \"…\"`, `crate = path`";
