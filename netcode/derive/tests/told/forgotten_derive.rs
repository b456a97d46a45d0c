use netcode_derive::Replicate;
use netcode_snapshot::{Input, Replicate};

#[derive(Clone, Copy)]
enum Mode {
    Idle,
}

#[derive(Replicate)]
struct Ship {
    #[net(enumeration)]
    mode: Mode,
}

struct Asteroid;

struct Steer;

fn shows<T: Replicate>() {}

fn plays<T: Input>() {}

fn main() {
    let _ = Mode::Idle;
    shows::<Asteroid>();
    plays::<Steer>();
}
