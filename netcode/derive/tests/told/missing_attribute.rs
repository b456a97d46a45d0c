use netcode_derive::Replicate;

#[derive(Replicate)]
struct Ship {
    x: f32,
    name: String,
}

fn main() {}
