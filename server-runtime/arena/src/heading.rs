//! Directions from angles, with additions and multiplications only: the platform's `sinf` differs between a server's
//! libm and a browser's, and one differing bit is a misprediction. Never knows a ship.

use core::f32::consts::{FRAC_PI_2, PI, TAU};

use glam::{Vec2, vec2};

/// The unit vector that points along `angle` (radians, 0 = +x, counter-clockwise), to within 2e-6.
#[must_use]
pub fn direction(angle: f32) -> Vec2 {
    vec2(sine(angle + FRAC_PI_2), sine(angle))
}

/// `angle` brought into −π..=π.
#[must_use]
pub fn wrap(angle: f32) -> f32 {
    angle - (angle / TAU).round() * TAU
}

/// Taylor's series to the 11th power, after folding the angle into a quarter turn, where the next term is below 1e-7.
fn sine(angle: f32) -> f32 {
    let turned = wrap(angle);
    let folded = if turned.abs() > FRAC_PI_2 { PI.copysign(turned) - turned } else { turned };
    let square = folded * folded;
    // Horner: 1 − x²/(2·3)·(1 − x²/(4·5)·(1 − …)).
    folded
        * [110.0, 72.0, 42.0, 20.0, 6.0]
            .into_iter()
            .fold(1.0, |series, divisor| 1.0 - square / divisor * series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_platform() {
        for step in -2000..2000 {
            let angle = step as f32 * 0.0063;
            let ours = direction(angle);
            assert!(ours.distance(vec2(angle.cos(), angle.sin())) < 3e-6, "{angle}: {ours}");
        }
    }

    #[test]
    fn wraps_into_half_turns() {
        for (angle, expected) in
            [(0.0, 0.0), (PI + 0.5, 0.5 - PI), (-PI - 0.5, PI - 0.5), (9.0 * TAU + 1.0, 1.0)]
        {
            assert!((wrap(angle) - expected).abs() < 1e-4, "{angle}");
        }
    }
}
