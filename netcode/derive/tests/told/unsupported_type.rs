use netcode_derive::Replicate;

#[derive(Replicate)]
struct Ship {
    cargo: Vec<u32>,
    hold: std::collections::HashMap<u32, u8>,
}

fn main() {}
