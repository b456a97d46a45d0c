use netcode_derive::{Input, Replicate};

#[derive(Replicate)]
struct NowhereFar {
    #[net(range(-64.0..=64.0), step = 0.005, far_step = 0.1)]
    x: f32,
}

#[derive(Replicate)]
#[net(far(beyond = 60.0))]
struct NothingLess {
    #[net(range(-64.0..=64.0), step = 0.005)]
    x: f32,
}

#[derive(Replicate)]
#[net(far(step = 0.1))]
struct NoDistance {
    #[net(range(-64.0..=64.0), step = 0.005, far_step = 0.1)]
    x: f32,
}

#[derive(Replicate)]
#[net(far(beyond = 60.0))]
struct Finer {
    #[net(range(-64.0..=64.0), step = 0.1, far_step = 0.15)]
    x: f32,
    #[net(angle, bits = 8, far_bits = 12)]
    heading: f32,
    #[net(bits = 7, far_bits = 3)]
    hull: u8,
}

#[derive(Input, Clone, Default, PartialEq)]
struct Stick {
    #[net(range(-1.0..=1.0), step = 0.01, far_step = 0.1)]
    x: f32,
}

fn main() {}
