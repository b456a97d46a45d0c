//! `#[derive(Enumeration)]`: an enum without data as its variant's place. Must never know where it is used.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput};

use crate::attributes::TypeAttributes;

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let wrong = |text| Err(syn::Error::new(input.ident.span(), text));
    let Data::Enum(data) = &input.data else { return wrong("`Enumeration` is derived for enums") };
    if let Some(variant) = data.variants.iter().find(|variant| !variant.fields.is_empty()) {
        return Err(syn::Error::new(variant.ident.span(), "a variant of an enumeration carries no data"));
    }
    let Some(end) = data.variants.last().map(|variant| &variant.ident) else {
        return wrong("an enumeration has at least one variant");
    };
    let krate = TypeAttributes::read(&input.attrs)?.krate;
    let ident = &input.ident;
    let last = data.variants.len() as u32 - 1;
    let names: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    let places: Vec<_> = (0u32..).take(names.len()).collect();
    let all_but_last = names.iter().zip(&places).take(names.len() - 1);
    let restore = all_but_last.map(|(name, place)| quote!(#place => Self::#name,));
    Ok(quote! {
        impl #krate::Enumeration for #ident {
            const LAST: u32 = #last;

            fn index(self) -> u32 {
                match self {
                    #(Self::#names => #places,)*
                }
            }

            fn from_index(index: u32) -> Self {
                match index {
                    #(#restore)*
                    _ => Self::#end,
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use syn::parse_str;

    #[test]
    fn only_enums_without_data_are_taken() {
        let told = |declaration: &str| {
            let input = parse_str(declaration).expect("the declaration is Rust");
            super::expand(&input).map_or_else(|error| error.to_string(), |_| String::new())
        };
        assert_eq!(told("enum Mode { Idle, Busy }"), "");
        assert!(told("enum Mode { Idle, Busy(u8) }").contains("carries no data"));
        assert!(told("enum Mode {}").contains("at least one variant"));
        assert!(told("struct Mode;").contains("derived for enums"));
    }
}
