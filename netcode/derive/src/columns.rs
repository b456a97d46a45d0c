//! From shapes to the code that turns fields into columns and back: what the three derives share. Must never
//! know which trait the code will stand in.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, Ident, Member, Path, Type};

use crate::attributes::FieldAttributes;
use crate::shape::{For, Grid, Shape};

/// One field with its shape.
pub(crate) struct Entry {
    pub(crate) member: Member,
    pub(crate) ty: Type,
    pub(crate) shape: Shape,
    /// Where it says what of it travels to who is far.
    pub(crate) far: Option<Span>,
    /// Its name on the wire.
    name: String,
    /// What stands in for it where another build does not send it.
    default: Option<TokenStream>,
}

/// Code for one field: its columns, an array with one value a column, and the way back.
struct Code {
    fields: Vec<TokenStream>,
    values: TokenStream,
    restore: Restore,
}

/// Given an expression a column, the expression of the field.
type Restore = Box<dyn Fn(&[TokenStream]) -> TokenStream>;

/// The free functions that a derived `impl` calls, and the number of columns.
pub(crate) struct Columns {
    /// `const FIELDS: [Field; N]`, `fn quantise(&Self, &mut [u32])`, `fn restore(&[u32]) -> Self`.
    pub(crate) items: TokenStream,
    pub(crate) count: usize,
    /// Statements that set what stands in for columns, in `out: &mut [Fallback]`.
    pub(crate) fallbacks: TokenStream,
    /// The columns that refer to entities.
    pub(crate) references: Vec<u8>,
    /// Statements that check variants of enumerations, in `columns`.
    pub(crate) checks: TokenStream,
}

/// The fields of a struct with their shapes; every mistake is told at once.
pub(crate) fn entries(fields: &Fields, purpose: For) -> syn::Result<Vec<Entry>> {
    let mut found = Vec::new();
    let mut errors: Option<syn::Error> = None;
    for (field, member) in fields.iter().zip(fields.members()) {
        match entry(field, member, purpose) {
            Ok(entry) => found.push(entry),
            Err(error) => match &mut errors {
                Some(errors) => errors.combine(error),
                None => errors = Some(error),
            },
        }
    }
    errors.map_or(Ok(found), Err)
}

fn entry(field: &syn::Field, member: Member, purpose: For) -> syn::Result<Entry> {
    let attributes = FieldAttributes::read(&field.attrs)?;
    let name = match (&attributes.rename, &member) {
        (Some(name), _) => name.value(),
        (None, Member::Named(ident)) => ident.to_string(),
        (None, Member::Unnamed(index)) => index.index.to_string(),
    };
    let default = attributes.default.as_ref().map(|value| match value {
        Some(value) => quote!(#value),
        None => quote!(::core::default::Default::default()),
    });
    if purpose != For::Columns && (attributes.rename.is_some() || default.is_some()) {
        let words = "`rename` and `default` mean nothing here: only components are matched by name";
        return Err(syn::Error::new(field.ty.span(), words));
    }
    let far_bits = attributes.far_bits.map(|(_, span)| span);
    let far = attributes.far_step.as_ref().map(Spanned::span).or(far_bits);
    if let (For::Message, Some(span)) = (purpose, far) {
        return Err(syn::Error::new(
            span,
            "a message is no farther from one than from another: only components are",
        ));
    }
    let shape = Shape::of(field, attributes, purpose)?;
    Ok(Entry { member, ty: field.ty.clone(), shape, far, name, default })
}

/// The fields of a type that must be a struct without parameters.
pub(crate) fn struct_fields<'a>(input: &'a DeriveInput, derive: &str) -> syn::Result<&'a Fields> {
    no_generics(input, derive)?;
    match &input.data {
        Data::Struct(data) => Ok(&data.fields),
        _ => Err(syn::Error::new(input.ident.span(), format!("`{derive}` is derived for structs"))),
    }
}

/// Refuses type parameters: a column has one width.
pub(crate) fn no_generics(input: &DeriveInput, derive: &str) -> syn::Result<()> {
    if input.generics.params.is_empty() {
        return Ok(());
    }
    Err(syn::Error::new(input.generics.span(), format!("`{derive}` is derived for types without parameters")))
}

/// The shared items for a struct.
pub(crate) fn columns(ident: &Ident, entries: &[Entry], krate: &Path) -> Columns {
    let (mut fields, mut quantise, mut restore) = (Vec::new(), Vec::new(), Vec::new());
    let (mut fallbacks, mut references, mut checks) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        let first = fields.len();
        fallbacks.push(fallback(entry, first, krate));
        references.extend(matches!(entry.shape, Shape::Reference).then_some(first as u8));
        if let (Shape::Enumeration, ty) = (&entry.shape, &entry.ty) {
            checks.push(quote!(#krate::support::check_variant::<#ty>(columns[#first])?;));
        }
        let member = &entry.member;
        let code = code(entry, &quote!(value.#member), krate);
        let places = fields.len()..fields.len() + code.fields.len();
        let columns: Vec<_> = places.clone().map(|place| quote!(columns[#place])).collect();
        let value = (code.restore)(&columns);
        restore.push(quote!(#member: #value));
        let (places, values) = (places.map(|place| quote!(out[#place])), code.values);
        quantise.push(quote!([#(#places),*] = #values;));
        fields.extend(code.fields);
    }
    let count = fields.len();
    let items = quote! {
        const FIELDS: [#krate::Field; #count] = [#(#fields),*];

        #[allow(unused_variables, reason = "a type without fields has no columns")]
        fn quantise(value: &#ident, out: &mut [u32]) {
            #(#quantise)*
        }

        #[allow(unused_variables, reason = "a type without fields has no columns")]
        fn restore(columns: &[u32]) -> #ident {
            #ident { #(#restore),* }
        }
    };
    let (fallbacks, checks) = (quote!(#(#fallbacks)*), quote!(#(#checks)*));
    Columns { items, count, fallbacks, references, checks }
}

/// What stands in for an entry's columns, from column `first` on.
fn fallback(entry: &Entry, first: usize, krate: &Path) -> TokenStream {
    let ty = &entry.ty;
    let missing = entry.default.as_ref().map(|default| {
        let values = code(entry, &quote!(value), krate).values;
        quote! {
            let value: #ty = #default;
            for (fallback, column) in out[#first..].iter_mut().zip(#values) {
                fallback.missing = Some(column);
            }
        }
    });
    let unknown = matches!(entry.shape, Shape::Enumeration).then(|| {
        quote! {
            out[#first].unknown = <#ty as #krate::Enumeration>::UNKNOWN;
            out[#first].is_enum = true;
        }
    });
    // The end of a text that is longer here than there.
    let rest = matches!(entry.shape, Shape::Packed { .. }) && missing.is_none();
    let rest = rest.then(|| {
        let columns = code(entry, &quote!(), krate).fields.len();
        quote! {
            for fallback in &mut out[#first + 1..#first + #columns] {
                fallback.missing = Some(0);
            }
        }
    });
    quote!(#missing #unknown #rest)
}

/// Statements that write one field's columns to `out`, for a message; `place` is the field's value.
pub(crate) fn write(entry: &Entry, place: &TokenStream, krate: &Path) -> TokenStream {
    let code = code(entry, place, krate);
    let (fields, values) = (&code.fields, &code.values);
    let count = fields.len();
    quote! {{
        const FIELDS: [#krate::Field; #count] = [#(#fields),*];
        let values: [u32; #count] = #values;
        for (field, value) in FIELDS.iter().zip(values) {
            out.write_bits(u64::from(value), u32::from(field.bits));
        }
    }}
}

/// An expression that reads one field's columns from `from`, for a message.
pub(crate) fn read(entry: &Entry, krate: &Path) -> TokenStream {
    let code = code(entry, &quote!(), krate);
    let (fields, count) = (&code.fields, code.fields.len());
    let columns: Vec<_> = (0..count).map(|place| quote!(columns[#place])).collect();
    let value = (code.restore)(&columns);
    let ty = &entry.ty;
    let check = matches!(entry.shape, Shape::Enumeration)
        .then(|| quote!(#krate::support::check_variant::<#ty>(columns[0])?;));
    quote! {{
        const FIELDS: [#krate::Field; #count] = [#(#fields),*];
        let mut columns = [0u32; #count];
        for (field, column) in FIELDS.iter().zip(&mut columns) {
            *column = #krate::support::read_column(from, u32::from(field.bits), field.max)?;
        }
        #check
        #value
    }}
}

/// The value between `from` and `to`.
pub(crate) fn blend(entry: &Entry, interpolated: bool, krate: &Path) -> TokenStream {
    let (member, ty) = (&entry.member, &entry.ty);
    let support = quote!(#krate::support);
    match &entry.shape {
        Shape::Range { parts, .. } | Shape::Raw { parts } if interpolated => {
            let parts: Vec<_> = parts
                .iter()
                .map(|part| {
                    let (from, to) = (access(&quote!(from.#member), part), access(&quote!(to.#member), part));
                    quote!(#support::lerp(#from, #to, t))
                })
                .collect();
            build(ty, &parts, Clone::clone)
        }
        Shape::Angle { .. } if interpolated => quote!(#support::lerp_angle(from.#member, to.#member, t)),
        Shape::Quat { .. } if interpolated => quote! {{
            let (a, b) = (from.#member, to.#member);
            let [x, y, z, w] = #support::lerp_quat([a.x, a.y, a.z, a.w], [b.x, b.y, b.z, b.w], t);
            <#ty>::from_xyzw(x, y, z, w)
        }},
        _ => quote!(#support::step(&from.#member, &to.#member, t)),
    }
}

fn code(entry: &Entry, place: &TokenStream, krate: &Path) -> Code {
    let name = entry.name.clone();
    let ty = entry.ty.clone();
    let field = quote!(#krate::Field);
    let support = quote!(#krate::support);
    match &entry.shape {
        Shape::Range { grid, parts } => {
            let Grid { min, max, step, far_step } = &**grid;
            let grid = quote!(const { #support::Range::new(#min, #max, #step) });
            let accesses = parts.iter().map(|part| access(place, part));
            Code {
                fields: parts
                    .iter()
                    .map(|part| named(&quote!(#field::range), &name, part, &grid))
                    .map(|column| match far_step {
                        Some(far_step) => quote!(#column.with_far_step(#far_step)),
                        None => column,
                    })
                    .collect(),
                values: quote!([#(#grid.quantise(#accesses)),*]),
                restore: Box::new(move |columns| {
                    build(&ty, columns, |column| quote!(#grid.restore(#column)))
                }),
            }
        }
        Shape::Raw { parts } => {
            let accesses = parts.iter().map(|part| access(place, part));
            let whole = quote!(u32::MAX);
            Code {
                fields: parts
                    .iter()
                    .map(|part| named(&quote!(#field::opaque), &name, part, &whole))
                    .collect(),
                values: quote!([#(#accesses.to_bits()),*]),
                restore: Box::new(move |columns| {
                    build(&ty, columns, |column| quote!(f32::from_bits(#column)))
                }),
            }
        }
        Shape::Angle { bits, far } => {
            let grid = quote!(const { #support::Angle::new(#bits) });
            let column = coarser(quote!(#field::angle(#name, #grid)), *bits, *far);
            let value = quote!(#grid.quantise(#place));
            one(column, &value, move |column| quote!(#grid.restore(#column)))
        }
        Shape::Quat { bits, far } => quat_code(&name, (*bits, *far), place, ty, krate),
        _ => discrete_code(entry, &name, place, krate),
    }
}

fn quat_code(
    name: &str,
    (bits, far): (u32, Option<u32>),
    place: &TokenStream,
    ty: Type,
    krate: &Path,
) -> Code {
    let (field, support) = (quote!(#krate::Field), quote!(#krate::support));
    let grid = quote!(const { #support::Quat::new(#bits) });
    let largest = format!("{name}.largest");
    let parts = ["a", "b", "c"].iter().map(|part| named(&quote!(#field::rotation), name, part, &grid));
    let parts = parts.map(|column| coarser(column, bits, far));
    Code {
        fields: std::iter::once(quote!(#field::opaque(#largest, 3))).chain(parts).collect(),
        values: quote!(#grid.quantise([#place.x, #place.y, #place.z, #place.w])),
        restore: Box::new(move |columns| {
            quote! {{
                let [x, y, z, w] = #grid.restore([#(#columns),*]);
                <#ty>::from_xyzw(x, y, z, w)
            }}
        }),
    }
}

fn discrete_code(entry: &Entry, name: &str, place: &TokenStream, krate: &Path) -> Code {
    let (ty, krate) = (entry.ty.clone(), krate.clone());
    let (field, support) = (quote!(#krate::Field), quote!(#krate::support));
    match &entry.shape {
        Shape::Unsigned { bits, opaque } => {
            let narrow = *bits as u8;
            let column = match opaque {
                true => quote!(#field::opaque(#name, u32::MAX >> (32 - #bits))),
                false => quote!(#field::integer(#name, #narrow, false)),
            };
            let value = quote!(#support::quantise_unsigned(u64::from(#place), #bits));
            one(column, &value, move |column| quote!(#column as #ty))
        }
        Shape::Signed { bits } => {
            let (bits, narrow) = (*bits, *bits as u8);
            let value = quote!(#support::quantise_signed(i64::from(#place), #bits));
            let restore = move |column: &TokenStream| quote!(#support::restore_signed(#column, #bits) as #ty);
            one(quote!(#field::integer(#name, #narrow, true)), &value, restore)
        }
        Shape::Wide => {
            let (make, whole) = (quote!(#field::opaque), quote!(u32::MAX));
            Code {
                fields: ["low", "high"].iter().map(|part| named(&make, name, part, &whole)).collect(),
                values: quote!([#place as u32, (#place as u64 >> 32) as u32]),
                restore: Box::new(move |columns| {
                    let (low, high) = (&columns[0], &columns[1]);
                    quote!((u64::from(#low) | u64::from(#high) << 32) as #ty)
                }),
            }
        }
        Shape::NetId => {
            let column = quote!(#field::opaque(#name, u32::MAX));
            one(column, &quote!(#place.0), move |column| quote!(#krate::NetId(#column)))
        }
        Shape::Packed { max, text } => packed_code(name, (*max, *text), place, &krate),
        Shape::Reference => {
            // 0 is none; no server counts as far as the last id.
            let value = quote!(#place.map_or(0, |id: #krate::NetId| id.0.saturating_add(1)));
            one(
                quote!(#field::opaque(#name, u32::MAX)),
                &value,
                move |column| quote!((#column).checked_sub(1).map(#krate::NetId)),
            )
        }
        Shape::Enumeration => {
            let variants = quote!(<#ty as #krate::Enumeration>);
            let column = quote!(#field::opaque(#name, #variants::LAST));
            let value = quote!(#variants::index(#place));
            one(column, &value, move |column| quote!(#variants::from_index(#column)))
        }
        // A flag. (The shapes of messages only have code of their own and do not come here.)
        _ => {
            one(quote!(#field::opaque(#name, 1)), &quote!(u32::from(#place)), |column| quote!((#column != 0)))
        }
    }
}

fn packed_code(name: &str, (max, text): (u32, bool), place: &TokenStream, krate: &Path) -> Code {
    let (field, support) = (quote!(#krate::Field), quote!(#krate::support));
    let words = max.div_ceil(4);
    let word = |at: u32| {
        let (name, bytes) = (format!("{name}.{at}"), (max - at * 4).min(4));
        quote!(#field::opaque(#name, u32::MAX >> (32 - 8 * #bytes)))
    };
    let length = format!("{name}.len");
    let pack = if text { quote!(pack_text) } else { quote!(pack_bytes) };
    let unpack = if text { quote!(unpack_text) } else { quote!(unpack_bytes) };
    Code {
        fields: std::iter::once(quote!(#field::opaque(#length, #max))).chain((0..words).map(word)).collect(),
        values: quote!(#support::#pack(&#place, #max as usize)),
        restore: Box::new(move |columns| quote!(#support::#unpack(&[#(#columns),*]))),
    }
}

fn one(
    field: TokenStream,
    value: &TokenStream,
    restore: impl Fn(&TokenStream) -> TokenStream + 'static,
) -> Code {
    Code {
        fields: vec![field],
        values: quote!([#value]),
        restore: Box::new(move |columns| restore(&columns[0])),
    }
}

/// A column of `bits` bits, of which `far` travel to who is far.
fn coarser(column: TokenStream, bits: u32, far: Option<u32>) -> TokenStream {
    let Some(far) = far else { return column };
    let shift = (bits - far) as u8;
    quote!(#column.coarser(#shift))
}

fn named(make: &TokenStream, name: &str, part: &str, argument: &TokenStream) -> TokenStream {
    let full = if part.is_empty() { name.to_owned() } else { format!("{name}.{part}") };
    quote!(#make(#full, #argument))
}

fn access(place: &TokenStream, part: &str) -> TokenStream {
    if part.is_empty() {
        return quote!(#place);
    }
    let part = format_ident!("{part}");
    quote!(#place.#part)
}

/// A number, or a vector of several.
fn build(ty: &Type, columns: &[TokenStream], each: impl Fn(&TokenStream) -> TokenStream) -> TokenStream {
    let parts: Vec<_> = columns.iter().map(each).collect();
    match parts.as_slice() {
        [one] => one.clone(),
        _ => quote!(<#ty>::new(#(#parts),*)),
    }
}
