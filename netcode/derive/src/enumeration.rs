//! `#[derive(Enumeration)]`: an enum without data as its variant's discriminant. Must never know where it is used.

use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Data, DeriveInput, Ident, Token, Variant};

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
    let unknown = unknown(&data.variants)?;
    let ident = &input.ident;
    let names: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    let mark = match unknown {
        Some(variant) => quote!(Some(Self::#variant as u32)),
        None => quote!(None),
    };
    let other = unknown.unwrap_or(end);
    let negative = format!("a variant of `{ident}` has a discriminant below 0 or above {}", u32::MAX);
    Ok(quote! {
        impl #krate::Enumeration for #ident {
            const LAST: u32 = {
                let all = [#(Self::#names as i128),*];
                let (mut last, mut place) = (0, 0);
                while place < all.len() {
                    assert!(all[place] >= 0 && all[place] <= u32::MAX as i128, #negative);
                    if all[place] > last {
                        last = all[place];
                    }
                    place += 1;
                }
                last as u32
            };
            const UNKNOWN: Option<u32> = #mark;

            fn index(self) -> u32 {
                self as u32
            }

            fn from_index(index: u32) -> Self {
                #(if index == Self::#names as u32 {
                    return Self::#names;
                })*
                Self::#other
            }
        }
    })
}

/// The variant marked `#[net(unknown)]`.
fn unknown(variants: &Punctuated<Variant, Token![,]>) -> syn::Result<Option<&Ident>> {
    let mut found = None;
    for variant in variants {
        for attribute in variant.attrs.iter().filter(|attribute| attribute.path().is_ident("net")) {
            attribute.parse_nested_meta(|meta| match (meta.path.is_ident("unknown"), found) {
                (false, _) => {
                    Err(meta.error("expected `unknown`: this variant stands for those of newer builds"))
                }
                (true, Some(_)) => Err(meta.error("one variant stands for all that are unknown")),
                (true, None) => {
                    found = Some(&variant.ident);
                    Ok(())
                }
            })?;
        }
    }
    Ok(found)
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
        assert_eq!(told("enum Mode { Idle = 3, #[net(unknown)] Other }"), "");
        assert!(told("enum Mode { #[net(other)] Idle }").contains("expected `unknown`"));
        assert!(told("enum Mode { #[net(unknown)] Idle, #[net(unknown)] Busy }").contains("one variant"));
        assert!(told("struct Mode;").contains("derived for enums"));
    }
}
