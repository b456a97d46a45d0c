//! What it costs to be far: a component may state that beyond a distance it is told more coarsely, and less often. Owns the
//! two classes; must never know a distance: which class a client is told of an entity is said by whoever lists the entities
//! for it ([`NetId::from_afar`](crate::NetId::from_afar)).
//!
//! Both classes lie in the same columns: what is coarse is a value of the column that is rounded to every 2^n-th. So a
//! client's frame, its blending, its predictors and its versions know nothing of classes; a change of class is a change of
//! value, told against whatever the client holds; and only the bits of a record tell them apart, by their width.

/// From where on, and how often, a component is told less of: `#[net(far(beyond = 60.0, every = 4))]`. How coarse each
/// column becomes is stated by its field ([`Field::coarser`](crate::Field::coarser)).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Far {
    /// The distance, in the game's units. An entity is far when it is beyond that of each of its components that state one.
    pub beyond: f32,
    /// Ticks from one time that it is told to the next; entities take turns.
    pub every: u8,
}

/// As what an entity is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Class {
    #[default]
    Near,
    Far,
}

impl Class {
    pub(crate) const ALL: [Self; 2] = [Self::Near, Self::Far];

    pub(crate) const fn of(is_far: bool) -> Self {
        if is_far { Self::Far } else { Self::Near }
    }

    pub(crate) const fn is_far(self) -> bool {
        matches!(self, Self::Far)
    }
}
