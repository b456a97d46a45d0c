//! The player's own entity, ahead of the server: predicted, compared with authority, replayed, and shown smoothly.
//! Owns: the ring of predicted states, the visible error. Must never know: the wire, time, other entities.
//!
//! The ring begins with a state that the server confirmed and holds one state a tick after it. When authority for
//! tick `T` arrives, the state predicted for `T` is compared column by column. Equal: history up to `T` is dropped.
//! Different: the ring begins anew at `T` and the inputs since are replayed, at most [`STATES_MAX`] a time.
//!
//! A correction is hidden by letting the wrong branch live on for a moment: it is stepped with the same inputs, and
//! what is shown blends from it to the right one, `weight = exp(−t / 80 ms)`. So the player's ship bends onto its
//! true course and neither jumps nor stops, and the game needs no notion of an error.

use std::collections::VecDeque;

use netcode_snapshot::{COLUMNS_MAX, Replicate};
use netcode_wire::Tick;

use crate::{Game, StepContext, game::step, input::InputRing};

/// What authority made of the prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Nothing new was said.
    Stale,
    /// There was nothing to compare: prediction starts here.
    Anchored,
    /// The prediction was right, bit for bit.
    Confirmed,
    /// It was wrong; what is now predicted lies this far from what was.
    Corrected(f32),
    /// Another life: moved there at once.
    Teleported,
}

struct Predicted<S> {
    tick: Tick,
    state: S,
}

/// Prediction and reconciliation of one component of one entity.
pub(crate) struct Prediction<G: Game> {
    tick_hz: u16,
    snap_distance: f32,
    ring: VecDeque<Predicted<G::State>>,
    /// What was shown at the tick before the newest.
    before: Option<G::State>,
    /// The branch that was wrong, and how much of it is still shown.
    wrong: Option<(G::State, f32)>,
}

impl<G: Game> Prediction<G> {
    /// Corrections longer than `snap_distance` are shown at once.
    pub(crate) fn new(tick_hz: u16, snap_distance: f32) -> Self {
        let ring = VecDeque::with_capacity(STATES_MAX + 1);
        Self { tick_hz, snap_distance, ring, before: None, wrong: None }
    }

    /// Forgets everything: the entity is gone, or is another one.
    pub(crate) fn clear(&mut self) {
        self.ring.clear();
        self.before = None;
        self.wrong = None;
    }

    /// Forgets the states after `newest`: those ticks will be played again.
    pub(crate) fn rewind(&mut self, newest: Tick) {
        while self.ring.back().is_some_and(|predicted| predicted.tick > newest) {
            self.ring.pop_back();
        }
    }

    /// Predicts up to `newest`, as far as the bound on unconfirmed states allows.
    pub(crate) fn advance(&mut self, newest: Tick, inputs: &InputRing<G::Input>) {
        while let Some(last) = self.ring.back() {
            if last.tick >= newest || self.ring.len() > STATES_MAX {
                return;
            }
            self.before = self.visible();
            let input = inputs.at(self.step_once(inputs));
            self.step_wrong(&input);
        }
    }

    /// Takes in what the server says of tick `tick`, then predicts up to `newest` again.
    pub(crate) fn reconcile(
        &mut self,
        tick: Tick,
        columns: &[u32],
        newest: Tick,
        inputs: &InputRing<G::Input>,
    ) -> Verdict {
        if self.ring.front().is_some_and(|confirmed| tick <= confirmed.tick) {
            return Verdict::Stale;
        }
        let place = self.ring.front().and_then(|first| usize::try_from(tick.since(first.tick)).ok());
        let Some(predicted) = place.and_then(|place| self.ring.get(place)) else {
            return self.anchor(tick, columns, newest, inputs);
        };
        if same_columns(&predicted.state, columns) {
            self.ring.drain(..place.unwrap_or(0));
            return Verdict::Confirmed;
        }
        let authority = G::State::restore(columns);
        let same_life = G::same_life(&predicted.state, &authority);
        let (shown, wrong) = (self.visible(), self.latest().cloned());
        self.restart(tick, authority, newest, inputs);
        let (Some(shown), Some(wrong), Some(right), true) = (shown, wrong, self.latest(), same_life) else {
            self.show_at_once();
            return Verdict::Teleported;
        };
        let distance = G::distance(&wrong, right);
        if G::distance(&shown, right) > self.snap_distance {
            self.show_at_once();
        } else {
            self.wrong = Some((shown, 1.0));
        }
        Verdict::Corrected(distance)
    }

    /// The newest predicted state and its tick.
    pub(crate) fn newest(&self) -> Option<(Tick, &G::State)> {
        self.ring.back().map(|predicted| (predicted.tick, &predicted.state))
    }

    /// What to show `fraction` of a tick after the last one: a tick behind prediction, corrections hidden.
    pub(crate) fn smoothed(&self, fraction: f32) -> Option<G::State> {
        let visible = self.visible()?;
        match &self.before {
            Some(before) if G::same_life(before, &visible) => Some(G::blend(before, &visible, fraction)),
            _ => Some(visible),
        }
    }

    fn latest(&self) -> Option<&G::State> {
        self.ring.back().map(|predicted| &predicted.state)
    }

    fn anchor(&mut self, tick: Tick, columns: &[u32], newest: Tick, inputs: &InputRing<G::Input>) -> Verdict {
        self.restart(tick, G::State::restore(columns), newest, inputs);
        self.show_at_once();
        Verdict::Anchored
    }

    fn restart(&mut self, tick: Tick, authority: G::State, newest: Tick, inputs: &InputRing<G::Input>) {
        self.ring.clear();
        self.ring.push_back(Predicted { tick, state: authority });
        while self.ring.len() <= STATES_MAX && self.ring.back().is_some_and(|last| last.tick < newest) {
            self.step_once(inputs);
        }
    }

    /// Predicts one tick more and says which.
    fn step_once(&mut self, inputs: &InputRing<G::Input>) -> Tick {
        let Some(last) = self.ring.back() else { return Tick(0) };
        let (tick, mut state) = (last.tick.next(), last.state.clone());
        step::<G>(&mut state, &inputs.at(tick), StepContext::new(tick, self.tick_hz));
        self.ring.push_back(Predicted { tick, state });
        tick
    }

    fn step_wrong(&mut self, input: &G::Input) {
        let (Some((state, weight)), Some(last)) = (&mut self.wrong, self.ring.back()) else { return };
        let context = StepContext::new(last.tick, self.tick_hz);
        step::<G>(state, input, context);
        *weight *= (-context.dt / SMOOTHING_S).exp();
        if *weight < WEIGHT_MIN || !G::same_life(state, &last.state) {
            self.wrong = None;
        }
    }

    fn show_at_once(&mut self) {
        self.before = None;
        self.wrong = None;
    }

    fn visible(&self) -> Option<G::State> {
        let latest = self.latest()?;
        match &self.wrong {
            Some((wrong, weight)) => Some(G::blend(latest, wrong, *weight)),
            None => Some(latest.clone()),
        }
    }
}

fn same_columns<S: Replicate>(state: &S, columns: &[u32]) -> bool {
    let mut row = [0; COLUMNS_MAX];
    let row = &mut row[..S::FIELDS.len()];
    state.quantise(row);
    row == columns
}

/// States predicted beyond the confirmed one: a second at 60 Hz. Beyond that the player's own entity waits.
pub(crate) const STATES_MAX: usize = 64;
/// The time in which the shown error falls to 1/e, in seconds.
const SMOOTHING_S: f32 = 0.08;
/// Below this share the wrong branch is no longer shown.
const WEIGHT_MIN: f32 = 0.02;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Push, Runner, columns};

    fn inputs(ticks: std::ops::RangeInclusive<u32>) -> InputRing<Push> {
        let mut ring = InputRing::new();
        ticks.for_each(|tick| ring.push(Tick(tick), Push::to(tick.is_multiple_of(2))));
        ring
    }

    /// What the server would have after `ticks` with the same inputs, from position `start` at tick 0.
    fn server(start: f32, ticks: u32, inputs: &InputRing<Push>) -> Vec<u32> {
        let mut state = crate::testing::Place { x: start, life: 1 };
        state.snap();
        for tick in 1..=ticks {
            step::<Runner>(&mut state, &inputs.at(Tick(tick)), StepContext::new(Tick(tick), 60));
        }
        columns(&state)
    }

    fn anchored(inputs: &InputRing<Push>, newest: u32) -> Prediction<Runner> {
        let mut prediction = Prediction::new(60, f32::INFINITY);
        let verdict = prediction.reconcile(Tick(0), &server(0.0, 0, inputs), Tick(newest), inputs);
        assert_eq!(verdict, Verdict::Anchored);
        prediction
    }

    #[test]
    fn equal_inputs_are_confirmed_bit_for_bit_and_drop_history() {
        let inputs = inputs(1..=40);
        let mut prediction = anchored(&inputs, 10);
        for tick in 1..=30 {
            prediction.advance(Tick(10 + tick), &inputs);
            let verdict =
                prediction.reconcile(Tick(tick), &server(0.0, tick, &inputs), Tick(10 + tick), &inputs);
            assert_eq!(verdict, Verdict::Confirmed);
            assert_eq!(prediction.ring.len(), 11);
        }
        assert_eq!(columns(prediction.newest().unwrap().1), server(0.0, 40, &inputs));
    }

    #[test]
    fn a_wrong_prediction_is_replayed_onto_authority() {
        let inputs = inputs(1..=20);
        let mut prediction = anchored(&inputs, 20);
        let Verdict::Corrected(distance) =
            prediction.reconcile(Tick(8), &server(0.5, 8, &inputs), Tick(20), &inputs)
        else {
            panic!("the server started half a unit away");
        };
        assert!((distance - 0.5).abs() < 0.02, "{distance}");
        assert_eq!(columns(prediction.newest().unwrap().1), server(0.5, 20, &inputs));
        assert_eq!(
            prediction.reconcile(Tick(9), &server(0.5, 9, &inputs), Tick(20), &inputs),
            Verdict::Confirmed
        );
        assert_eq!(
            prediction.reconcile(Tick(7), &server(0.5, 7, &inputs), Tick(20), &inputs),
            Verdict::Stale
        );
    }

    #[test]
    fn the_shown_place_never_jumps_at_a_correction_and_reaches_the_truth() {
        let inputs = inputs(1..=60);
        let mut prediction = anchored(&inputs, 20);
        let before = prediction.smoothed(1.0).unwrap().x;
        prediction.reconcile(Tick(8), &server(0.5, 8, &inputs), Tick(20), &inputs);
        let mut shown = prediction.smoothed(1.0).unwrap().x;
        assert!((shown - before).abs() < 0.02, "{before} to {shown}");
        for tick in 21..=60 {
            prediction.advance(Tick(tick), &inputs);
            let next = prediction.smoothed(1.0).unwrap().x;
            assert!((next - shown).abs() < 0.5 * 0.25 + 0.2, "{shown} to {next} at {tick}");
            shown = next;
        }
        assert_eq!(columns(&prediction.smoothed(1.0).unwrap()), columns(prediction.newest().unwrap().1));
    }

    #[test]
    fn another_life_is_a_teleport() {
        let inputs = inputs(1..=20);
        let mut prediction = anchored(&inputs, 20);
        let respawned = columns(&crate::testing::Place { x: 30.0, life: 2 });
        assert_eq!(prediction.reconcile(Tick(8), &respawned, Tick(20), &inputs), Verdict::Teleported);
        let shown = prediction.smoothed(0.0).unwrap();
        assert!(shown.x > 25.0 && shown.life == 2);
    }

    #[test]
    fn a_correction_beyond_the_snap_distance_is_shown_at_once() {
        let inputs = inputs(1..=20);
        let mut prediction = anchored(&inputs, 20);
        prediction.snap_distance = 1.0;
        let verdict = prediction.reconcile(Tick(8), &server(20.0, 8, &inputs), Tick(20), &inputs);
        assert!(matches!(verdict, Verdict::Corrected(distance) if distance > 19.0));
        assert!(prediction.smoothed(0.0).unwrap().x > 15.0);
    }

    #[test]
    fn prediction_waits_when_the_server_is_silent_and_goes_on_afterwards() {
        let inputs = inputs(1..=100);
        let mut prediction = anchored(&inputs, 0);
        for tick in 1..=100 {
            prediction.advance(Tick(tick), &inputs);
        }
        assert_eq!(prediction.newest().unwrap().0, Tick(STATES_MAX as u32));
        let verdict = prediction.reconcile(Tick(50), &server(0.0, 50, &inputs), Tick(100), &inputs);
        assert_eq!(verdict, Verdict::Confirmed);
        prediction.advance(Tick(100), &inputs);
        assert_eq!(prediction.newest().unwrap().0, Tick(100));
        assert_eq!(columns(prediction.newest().unwrap().1), server(0.0, 100, &inputs));
    }

    #[test]
    fn authority_beyond_what_was_predicted_starts_anew() {
        let inputs = inputs(1..=20);
        let mut prediction = anchored(&inputs, 5);
        let verdict = prediction.reconcile(Tick(9), &server(0.0, 9, &inputs), Tick(12), &inputs);
        assert_eq!(verdict, Verdict::Anchored);
        assert_eq!(prediction.newest().unwrap().0, Tick(12));
    }

    #[test]
    fn a_rewound_clock_plays_its_ticks_again() {
        let inputs = inputs(1..=20);
        let mut prediction = anchored(&inputs, 20);
        prediction.rewind(Tick(12));
        assert_eq!(prediction.newest().unwrap().0, Tick(12));
        prediction.advance(Tick(15), &inputs);
        assert_eq!(columns(prediction.newest().unwrap().1), server(0.0, 15, &inputs));
    }
}
