use netcode_derive::Replicate;

#[derive(Replicate)]
struct Ship {
    #[net(range(64.0..=-64.0), step = 0.005)]
    x: f32,
    #[net(range(-100_000.0..=100_000.0), step = 0.001)]
    y: f32,
}

fn main() {}
