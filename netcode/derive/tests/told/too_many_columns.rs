use netcode_derive::Replicate;

#[derive(Replicate)]
struct Chronicle {
    #[net(max = 200)]
    first: String,
    #[net(max = 100)]
    second: Vec<u8>,
}

fn main() {}
