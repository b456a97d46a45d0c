//! Finds a minimum of a smooth function of a few numbers, the same way every time.
//!
//! iRprop− (Igel & Hüsken, "Improving the Rprop learning algorithm", 2000), which TrueSkill 2 names for its
//! parameters: only the sign of each slope counts, and each number keeps a step of its own. Slopes are
//! central differences.

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Descent {
    /// Steps at most. Each asks for the function twice a number, and once more.
    pub iterations: u32,
    /// The first step of each number, in its own unit.
    pub step: f64,
    /// Half the distance over which slopes are taken.
    pub probe: f64,
}

impl Default for Descent {
    fn default() -> Self {
        Self { iterations: 60, step: 0.1, probe: 1e-2 }
    }
}

const GROW: f64 = 1.2;
const SHRINK: f64 = 0.5;
const STEP_MAX: f64 = 0.5;
/// When no number moves further than this, the search is over.
const STEP_MIN: f64 = 1e-3;

/// The best point found from `start`, and the function there. `function` may be infinite or NaN where it is
/// not defined; such points are not taken.
pub fn minimise(start: &[f64], descent: Descent, mut function: impl FnMut(&[f64]) -> f64) -> (Vec<f64>, f64) {
    let mut ask = |point: &[f64]| {
        let value = function(point);
        if value.is_nan() { f64::INFINITY } else { value }
    };
    let mut point = start.to_vec();
    let mut best = (point.clone(), ask(&point));
    let mut steps = vec![descent.step; point.len()];
    let mut last_slopes = vec![0.0; point.len()];
    for _ in 0..descent.iterations {
        let slopes: Vec<f64> =
            (0..point.len()).map(|number| slope(&mut ask, &mut point, number, descent)).collect();
        for (number, mut slope) in slopes.into_iter().enumerate() {
            let agreement = slope * last_slopes[number];
            if agreement > 0.0 {
                steps[number] = (steps[number] * GROW).min(STEP_MAX);
            } else if agreement < 0.0 {
                steps[number] *= SHRINK;
                slope = 0.0;
            }
            if slope != 0.0 {
                point[number] -= slope.signum() * steps[number];
            }
            last_slopes[number] = slope;
        }
        let value = ask(&point);
        if value < best.1 {
            best = (point.clone(), value);
        }
        if steps.iter().all(|step| *step < STEP_MIN) {
            break;
        }
    }
    best
}

fn slope(ask: &mut impl FnMut(&[f64]) -> f64, point: &mut [f64], number: usize, descent: Descent) -> f64 {
    let here = point[number];
    point[number] = here + descent.probe;
    let above = ask(point);
    point[number] = here - descent.probe;
    let below = ask(point);
    point[number] = here;
    match (above.is_finite(), below.is_finite()) {
        (true, true) => above - below,
        // Away from where the function is not defined.
        (true, false) => -1.0,
        (false, true) => 1.0,
        (false, false) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_valley_is_walked_to_its_end() {
        let valley = |x: &[f64]| (x[0] - 1.0).powi(2) + 20.0 * (x[1] - 0.5 * x[0]).powi(2);
        let descent = Descent { iterations: 400, ..Descent::default() };
        let (point, value) = minimise(&[-2.0, 3.0], descent, valley);
        assert!(value < 1e-3 && (point[0] - 1.0).abs() < 0.05, "{point:?} {value}");
        assert_eq!(minimise(&[-2.0, 3.0], descent, valley), (point, value));
    }

    #[test]
    fn undefined_ground_is_avoided() {
        let walled = |x: &[f64]| if x[0] < 0.3 { f64::NAN } else { x[0] * x[0] };
        let (point, value) = minimise(&[2.0], Descent::default(), walled);
        assert!(value.is_finite() && (0.3..0.6).contains(&point[0]), "{point:?}");
    }
}
