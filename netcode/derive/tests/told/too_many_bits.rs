use netcode_derive::Replicate;

#[derive(Replicate)]
struct Ship {
    #[net(bits = 9)]
    hull: u8,
    #[net(angle, bits = 40)]
    heading: f32,
    #[net(max = 4096)]
    log: String,
}

fn main() {}
