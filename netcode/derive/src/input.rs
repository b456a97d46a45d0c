//! `#[derive(Input)]`. Must never know how a column is made.

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

use crate::attributes::TypeAttributes;
use crate::columns::{columns, entries, struct_fields};
use crate::shape::For;

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let fields = struct_fields(input, "Input")?;
    let krate = TypeAttributes::read(&input.attrs)?.krate;
    let entries = entries(fields, For::Columns)?;
    if let Some(span) = entries.iter().find_map(|entry| entry.far) {
        return Err(syn::Error::new(
            span,
            "an input is no farther from one than from another: only components are",
        ));
    }
    let ident = &input.ident;
    let shared = columns(ident, &entries, &krate);
    let (items, count, checks) = (shared.items, shared.count, shared.checks);
    Ok(quote! {
        const _: () = {
            #items

            impl #krate::Input for #ident {
                const BITS: u32 = {
                    let (mut bits, mut place) = (0, 0);
                    while place < FIELDS.len() {
                        bits += FIELDS[place].bits as u32;
                        place += 1;
                    }
                    bits
                };

                const COLUMNS: &'static [#krate::Field] = &FIELDS;

                fn encode(&self, out: &mut #krate::support::BitWriter) {
                    let mut columns = [0u32; #count];
                    quantise(self, &mut columns);
                    for (field, column) in FIELDS.iter().zip(columns) {
                        out.write_bits(u64::from(column), u32::from(field.bits));
                    }
                }

                fn decode(
                    from: &mut #krate::support::BitReader<'_>,
                ) -> ::core::result::Result<Self, #krate::support::WireError> {
                    let mut columns = [0u32; #count];
                    for (field, column) in FIELDS.iter().zip(&mut columns) {
                        *column = #krate::support::read_column(from, u32::from(field.bits), field.max)?;
                    }
                    #checks
                    Ok(restore(&columns))
                }

                fn snap(&mut self) {
                    let mut columns = [0u32; #count];
                    quantise(self, &mut columns);
                    *self = restore(&columns);
                }
            }
        };
    })
}
