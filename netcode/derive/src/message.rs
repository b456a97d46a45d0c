//! `#[derive(Message)]`: structs field by field; enums as the variant's place, then its fields. Must never know
//! how a column is made.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DataEnum, DeriveInput, Fields, Ident, Path};

use crate::attributes::TypeAttributes;
use crate::columns::{Entry, entries, no_generics, read, write};
use crate::shape::{For, Shape};

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    no_generics(input, "Message")?;
    let krate = TypeAttributes::read(&input.attrs)?.krate;
    let (encode, decode) = match &input.data {
        Data::Struct(data) => {
            let (arm, decode) = variant(&quote!(Self), &data.fields, &quote!(), &krate)?;
            (quote!(match self { #arm }), quote!(Ok(#decode)))
        }
        Data::Enum(data) => variants(&input.ident, data, &krate)?,
        Data::Union(_) => return Err(syn::Error::new(input.ident.span(), "a union is not a message")),
    };
    let (ident, name) = (&input.ident, input.ident.to_string());
    Ok(quote! {
        impl #krate::Message for #ident {
            const NAME: &'static str = #name;

            #[allow(unused_variables, reason = "a message without fields writes nothing")]
            fn encode(&self, out: &mut #krate::support::BitWriter) {
                #encode
            }

            #[allow(unused_variables, reason = "a message without fields reads nothing")]
            fn decode(
                from: &mut #krate::support::BitReader<'_>,
            ) -> ::core::result::Result<Self, #krate::support::WireError> {
                #decode
            }
        }
    })
}

fn variants(ident: &Ident, data: &DataEnum, krate: &Path) -> syn::Result<(TokenStream, TokenStream)> {
    let Some(last) = data.variants.len().checked_sub(1).and_then(|last| u32::try_from(last).ok()) else {
        return Err(syn::Error::new(ident.span(), "an enum without variants is not a message"));
    };
    let bits = u32::BITS - last.leading_zeros();
    let (mut writes, mut reads) = (Vec::new(), Vec::new());
    for (place, each) in (0u32..).zip(&data.variants) {
        let name = &each.ident;
        let prefix = quote!(out.write_bits(#place as u64, #bits););
        let (arm, decode) = variant(&quote!(Self::#name), &each.fields, &prefix, krate)?;
        writes.push(arm);
        reads.push(quote!(#place => Ok(#decode),));
    }
    let decode = quote! {
        match #krate::support::read_column(from, #bits, #last)? {
            #(#reads)*
            _ => Err(#krate::support::WireError::Malformed("variant of a message")),
        }
    };
    Ok((quote!(match self { #(#writes)* }), decode))
}

/// A match arm that writes one variant (or the struct), and an expression that reads it.
fn variant(
    path: &TokenStream,
    fields: &Fields,
    prefix: &TokenStream,
    krate: &Path,
) -> syn::Result<(TokenStream, TokenStream)> {
    let entries = entries(fields, For::Message)?;
    let names: Vec<_> = (0..entries.len()).map(|place| format_ident!("field_{place}")).collect();
    let members: Vec<_> = entries.iter().map(|entry| &entry.member).collect();
    let writes = entries.iter().zip(&names).map(|(entry, name)| write_field(entry, name, krate));
    let reads = entries.iter().zip(&names).map(|(entry, name)| {
        let value = read_field(entry, krate);
        quote!(let #name = #value;)
    });
    let arm = quote!(#path { #(#members: #names),* } => { #prefix #(#writes)* });
    // Read in the order of declaration, whatever the order of a struct literal.
    let decode = quote!({ #(#reads)* #path { #(#members: #names),* } });
    Ok((arm, decode))
}

fn write_field(entry: &Entry, name: &Ident, krate: &Path) -> TokenStream {
    let support = quote!(#krate::support);
    match &entry.shape {
        Shape::Text { max } => quote!(#support::write_str(out, #name, #max);),
        Shape::Blob { max } => quote!(#support::write_blob(out, #name, #max);),
        Shape::List { max, .. } => quote! {
            #support::write_len(out, #name.len(), #max);
            for item in #name.iter().take(#max) {
                #krate::Message::encode(item, out);
            }
        },
        Shape::Nested => quote!(#krate::Message::encode(#name, out);),
        _ => write(entry, &quote!((*#name)), krate),
    }
}

fn read_field(entry: &Entry, krate: &Path) -> TokenStream {
    let (ty, support) = (&entry.ty, quote!(#krate::support));
    match &entry.shape {
        Shape::Text { max } => quote!(#support::read_string(from, #max)?),
        Shape::Blob { max } => quote!(#support::read_blob(from, #max)?),
        Shape::List { item, max } => quote! {{
            let len = #support::read_len(from, #max)?;
            let mut items = ::std::vec::Vec::new();
            for _ in 0..len {
                items.push(<#item as #krate::Message>::decode(from)?);
            }
            items
        }},
        Shape::Nested => quote!(<#ty as #krate::Message>::decode(from)?),
        _ => read(entry, krate),
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_str;

    fn told(declaration: &str) -> String {
        let input = parse_str(declaration).expect("the declaration is Rust");
        super::expand(&input).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn lengths_have_limits() {
        assert!(told("struct Chat { text: String }").contains("`#[net(max = 64)]`"));
        assert!(told("struct Chat { data: Vec<u8> }").contains("`#[net(max = 64)]`"));
        assert_eq!(told("struct Chat { #[net(max = 64)] text: String, plain: f32, to: Option<NetId> }"), "");
    }

    #[test]
    fn enums_are_messages_when_they_say_something() {
        assert_eq!(told("enum Event { Hit { by: NetId }, Over(u8), Nothing }"), "");
        assert!(told("enum Event {}").contains("without variants"));
        assert!(told("struct Hit<T>(T);").contains("without parameters"));
    }
}
