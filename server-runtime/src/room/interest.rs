//! Which entities a player is shown. Owns the distance rule; must never know bytes or budgets.

use bevy_ecs::prelude::*;
use bevy_ecs::world::EntityRef;
use glam::Vec2;

/// Priority of what the player owns: far above everything else, so that it is never left out.
pub(crate) const PRIORITY_OWN: f32 = 1000.0;

type Position = Box<dyn Fn(EntityRef<'_>) -> Option<Vec2> + Send + Sync>;

/// The rule.
pub(crate) enum Interest {
    /// Everyone is shown everything.
    Everyone,
    /// What has a position is shown within a radius of what the player owns.
    Within { radius: f32, positions: Vec<Position> },
}

impl Interest {
    /// Adds a kind of position; the last radius given holds.
    pub(crate) fn with<C: Component>(self, radius: f32, position: fn(&C) -> Vec2) -> Self {
        let mut positions = match self {
            Self::Everyone => Vec::new(),
            Self::Within { positions, .. } => positions,
        };
        positions.push(Box::new(move |entity| entity.get::<C>().map(position)));
        Self::Within { radius, positions }
    }

    /// Where an entity is, as far as the rule cares.
    pub(crate) fn position(&self, entity: EntityRef<'_>) -> Option<Vec2> {
        match self {
            Self::Everyone => None,
            Self::Within { positions, .. } => positions.iter().find_map(|position| position(entity)),
        }
    }

    /// How urgently something at `position` is shown to a player whose things are at `eyes`; `None`: not at
    /// all. Near is more urgent than far; what has no position is shown like something near.
    pub(crate) fn priority(&self, eyes: &[Vec2], position: Option<Vec2>) -> Option<f32> {
        let (Self::Within { radius, .. }, Some(position)) = (self, position) else { return Some(1.0) };
        // Someone who owns nothing (dead, or still loading) watches the whole field.
        let nearest = eyes.iter().map(|eye| eye.distance(position)).min_by(f32::total_cmp);
        let Some(nearest) = nearest else { return Some(1.0) };
        (nearest <= *radius).then(|| 1.0 - 0.9 * nearest / radius.max(f32::EPSILON))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Component)]
    struct At(Vec2);

    #[test]
    fn near_is_urgent_and_far_is_hidden() {
        let interest = Interest::Everyone.with::<At>(10.0, |at| at.0);
        let eyes = [Vec2::ZERO, Vec2::new(100.0, 0.0)];
        let at = |x: f32| interest.priority(&eyes, Some(Vec2::new(x, 0.0)));
        assert_eq!(at(11.0), None);
        assert!(at(1.0) > at(9.0));
        assert_eq!(at(99.0), at(1.0), "either eye will do");
        assert_eq!(interest.priority(&eyes, None), Some(1.0));
        assert_eq!(interest.priority(&[], Some(Vec2::splat(1e6))), Some(1.0));
        assert_eq!(Interest::Everyone.priority(&eyes, Some(Vec2::splat(1e6))), Some(1.0));
    }
}
