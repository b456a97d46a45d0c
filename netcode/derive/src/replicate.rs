//! `#[derive(Replicate)]`. Must never know how a column is made.

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;
use syn::spanned::Spanned;

use crate::attributes::{Far, Predictor, TypeAttributes, Visible};
use crate::columns::{Columns, Entry, blend, columns, entries, struct_fields};
use crate::shape::{For, literal};

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let fields = struct_fields(input, "Replicate")?;
    let TypeAttributes { krate, rename, predicted, visible, every, far, interpolated, predictor } =
        TypeAttributes::read(&input.attrs)?;
    let entries = entries(fields, For::Columns)?;
    check_far(far.as_ref(), &entries, every)?;
    let far = far_code(far.as_ref(), every, &krate);
    let ident = &input.ident;
    let name = rename.map_or_else(|| ident.to_string(), |name| name.value());
    let Columns { items: shared, count, fallbacks, references, .. } = columns(ident, &entries, &krate);
    if count > COLUMNS_MAX {
        let text =
            format!("this component has {count} columns, and the most is {COLUMNS_MAX}: make two of it");
        return Err(syn::Error::new(ident.span(), text));
    }
    let blends = entries.iter().map(|entry| {
        let (member, value) = (&entry.member, blend(entry, interpolated, &krate));
        quote!(#member: #value)
    });
    let predicted = predicted.is_some();
    let visible = match visible {
        None => quote!(#krate::Audience::EVERYONE),
        Some(Visible::Owner) => quote!(#krate::Audience::OWNER),
        Some(Visible::Given(audience)) => quote!(#audience),
    };
    let linear = matches!(predictor, Some(Predictor::Linear));
    let predict = match predictor {
        None => quote!(None),
        Some(Predictor::Linear) => quote!(Some(#krate::dense::linear)),
        Some(Predictor::Given(path)) => quote!(Some(#path)),
    };
    Ok(quote! {
        const _: () = {
            #shared

            impl #krate::Replicate for #ident {
                const NAME: &'static str = #name;
                const FIELDS: &'static [#krate::Field] = &FIELDS;
                const PREDICTED: bool = #predicted;
                const VISIBLE: #krate::Audience = #visible;
                const EVERY: u8 = #every;
                const FAR: Option<#krate::Far> = #far;
                const INTERPOLATED: bool = #interpolated;
                const PREDICT: Option<#krate::dense::Predict> = #predict;
                const PREDICT_LINEAR: bool = #linear;
                const REFERENCES: &'static [u8] = &[#(#references),*];

                #[allow(unused_variables, reason = "a type without fields has nothing to stand in")]
                fn fallbacks(out: &mut [#krate::Fallback]) {
                    #fallbacks
                }

                fn quantise(&self, out: &mut [u32]) {
                    quantise(self, &mut out[..FIELDS.len()]);
                }

                fn restore(columns: &[u32]) -> Self {
                    restore(&columns[..FIELDS.len()])
                }

                #[allow(unused_variables, reason = "a type without fields has nothing to blend")]
                fn interpolate(from: &Self, to: &Self, t: f32) -> Self {
                    #ident { #(#blends),* }
                }
            }
        };
    })
}

/// What is said of distance must make a difference, and must be said in both places.
fn check_far(far: Option<&Far>, entries: &[Entry], every: u8) -> syn::Result<()> {
    let coarse = entries.iter().find_map(|entry| entry.far);
    let (span, text) = match (far, coarse) {
        (None, Some(span)) => (
            span,
            "coarser from afar: say on the struct from what distance on, `#[net(far(beyond = 60.0))]`".to_owned(),
        ),
        (Some(far), _) if far.every.is_some_and(|often| often < every) => {
            (far.span, format!("from afar it is told no more often than near by, which is every {every} ticks"))
        }
        (Some(far), None) if far.every.is_none_or(|often| often == every) => (
            far.span,
            "nothing is told less of from afar: say `every = …` here, or `far_step = …` or `far_bits = …` on a field"
                .to_owned(),
        ),
        (Some(far), _) if literal(&far.beyond).is_some_and(|beyond| beyond <= 0.0) => {
            (far.beyond.span(), "a distance is greater than zero".to_owned())
        }
        _ => return Ok(()),
    };
    Err(syn::Error::new(span, text))
}

fn far_code(far: Option<&Far>, every: u8, krate: &syn::Path) -> TokenStream {
    let Some(Far { beyond, every: often, .. }) = far else { return quote!(None) };
    let every = often.unwrap_or(every);
    quote!(Some(#krate::Far { beyond: #beyond, every: #every }))
}

/// `netcode_snapshot::COLUMNS_MAX`.
const COLUMNS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use syn::parse_str;

    /// The first thing a programmer is told about a declaration; empty when it is right.
    fn told(declaration: &str) -> String {
        let input = parse_str(declaration).expect("the declaration is Rust");
        super::expand(&input).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn mistakes_are_told_in_the_words_of_the_attributes() {
        let check = |field: &str, expected: &str| {
            let said = told(&format!("struct Ship {{ {field} }}"));
            assert!(said.contains(expected), "{field}: {said:?}");
        };
        check("pos: f32", "a float says how it is rounded: `#[net(range(-64.0..=64.0), step = 0.005)]`");
        check("pos: glam::Vec2", "a float says how it is rounded");
        check("#[net(range(-1.0..=1.0))] pos: f32", "a range needs `step = …`");
        check("#[net(step = 0.1)] pos: f32", "a step needs `range(min..=max)`");
        check("#[net(range(-1.0..1.0), step = 0.1)] pos: f32", "the last included");
        check("#[net(range(1.0), step = 0.1)] pos: f32", "expected both bounds");
        check("#[net(angle)] heading: f32", "an angle needs `bits = …`");
        check("#[net(angle, bits = 12)] heading: Vec2", "an angle is one `f32`");
        check("#[net(angle, bits = 40)] heading: f32", "expected 1 to 20 bits");
        check("turn: Quat", "`#[net(quat, bits = 10)]`");
        check("#[net(bits = 9)] hp: u8", "this integer has 1 to 8 bits");
        check("#[net(signed)] hp: u8", "`signed` on an unsigned integer");
        check("#[net(range(0.0..=1.0), step = 1.0)] hp: u8", "`range` means nothing for an unsigned integer");
        check("#[net(bits = 2)] alive: bool", "`bits` means nothing for a flag");
        check("#[net(colour = 2)] alive: bool", "expected one of `range(min..=max)`");
        check("#[net(bits = 2, bits = 3)] hp: u8", "said twice");
        check("name: String", "how long it may be");
        check("#[net(max = 400)] name: String", "a number from 1 to 248");
        check("#[net(max = LIMIT)] name: Vec<u8>", "a number from 1 to 248");
        check("name: Vec<u32>", "no columns for this type");
        check("#[net(range(1.0..=1.0), step = 0.1)] x: f32", "begins at 1 and ends at 1");
        check("#[net(range(0.0..=1.0), step = -0.1)] x: f32", "greater than zero");
        check("#[net(range(0.0..=1e6), step = 0.001)] x: f32", "a step of 2.38e-1 at least");
        check("#[net(range(0.0..=1.0), step = 5.0)] x: f32", "longer than the range");
        check("mode: Mode", "`#[net(enumeration)]`");
        check("#[net(far_bits = 2)] hp: u8", "`far_bits` means nothing for an unsigned integer");
        check("#[net(angle, bits = 12, far_bits = 12)] x: f32", "fewer bits than near by: 1 to 11");
        check("#[net(quat, bits = 10, far_bits = 1)] x: Quat", "fewer bits than near by: 2 to 9");
        check(
            "#[net(range(0.0..=1.0), step = 0.1, far_step = 0.1)] x: f32",
            "0.2 at least, which is twice `step`",
        );
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let input = parse_str("struct Ship { a: f32, b: String, c: u8 }").expect("the declaration is Rust");
        let error = super::expand(&input).expect_err("two fields are wrong");
        assert_eq!(error.into_iter().count(), 2);
    }

    #[test]
    fn only_plain_structs_are_taken() {
        assert!(told("enum Ship { A }").contains("derived for structs"));
        assert!(told("struct Ship<T> { a: T }").contains("without parameters"));
        assert!(
            told("#[net(interpolate = \"cubic\")] struct Ship;").contains("expected \"linear\" or \"none\"")
        );
        assert!(told("#[net(fast)] struct Ship;").contains("expected one of `predicted`"));
        assert_eq!(told("#[net(predicted, interpolate = \"none\")] struct Ship(u8, bool);"), "");
        assert!(told("#[net(predictor = \"cubic\")] struct Ship;").contains("the path of a function"));
        assert_eq!(told("#[net(predictor = \"linear\")] struct Ship(u8);"), "");
        assert_eq!(told("#[net(predictor = game::fall)] struct Ship(u8);"), "");
        assert!(told("#[net(visible = \"nobody\")] struct Ship(u8);").contains("an audience of the game's"));
        assert!(
            told("#[net(predicted, visible = \"owner\")] struct Ship(u8);").contains("leave out `visible`")
        );
        assert_eq!(told("#[net(visible = \"owner\")] struct Ship(u8);"), "");
        assert_eq!(told("#[net(visible = game::TEAM)] struct Ship(u8);"), "");
        assert_eq!(told("struct Marker;"), "");
        assert!(told("#[net(far)] struct Ship(u8);").contains("from what distance on"));
        assert!(told("#[net(far(every = 2))] struct Ship(u8);").contains("from what distance on"));
        assert!(told("#[net(far(beyond = 9.0))] struct Ship(u8);").contains("nothing is told less of"));
        assert!(told("#[net(far(beyond = 0.0, every = 2))] struct Ship(u8);").contains("greater than zero"));
        assert!(
            told("#[net(every = 3, far(beyond = 9.0, every = 2))] struct Ship(u8);")
                .contains("every 3 ticks")
        );
        assert_eq!(told("#[net(predicted, far(beyond = 9.0, every = 2))] struct Ship(u8);"), "");
        let place = "#[net(range(0.0..=9.0), step = 0.5, far_step = 1.0)] f32";
        assert!(told(&format!("struct Ship({place});")).contains("say on the struct from what distance on"));
        assert_eq!(told(&format!("#[net(far(beyond = FAR))] struct Ship({place});")), "");
    }
}
