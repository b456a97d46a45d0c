//! `#[derive(Replicate)]`, `#[derive(Input)]`, `#[derive(Message)]`, `#[derive(Enumeration)]`.

use proc_macro::TokenStream;

/// Under construction.
#[proc_macro_derive(Replicate, attributes(net))]
pub fn replicate(_input: TokenStream) -> TokenStream {
    TokenStream::new()
}

/// Under construction.
#[proc_macro_derive(Input, attributes(net))]
pub fn input(_input: TokenStream) -> TokenStream {
    TokenStream::new()
}

/// Under construction.
#[proc_macro_derive(Message, attributes(net))]
pub fn message(_input: TokenStream) -> TokenStream {
    TokenStream::new()
}

/// Under construction.
#[proc_macro_derive(Enumeration)]
pub fn enumeration(_input: TokenStream) -> TokenStream {
    TokenStream::new()
}
