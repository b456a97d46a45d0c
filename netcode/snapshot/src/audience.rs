//! Who may see a component. Owns how an entity is divided among those who may; must never know who they are: that is
//! whoever lists the entities for a client.
//!
//! What only some may see of an entity is a row of its own in the frame, under a name of its own: the entity's, with the
//! audience in the three highest bits. A client is told of a row when, and only when, its name is among those that are
//! relevant for it. So nothing that is shared between clients (the bits of a record, a baseline, a model) ever holds two
//! audiences' columns, and forgetting to list a row hides it.

use crate::NetId;

/// Who may see a component: `#[net(visible = …)]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Audience(u8);

impl Audience {
    /// Whoever is shown the entity: what is not said otherwise.
    pub const EVERYONE: Self = Self(0);
    /// The client whose entity it is: `#[net(visible = "owner")]`.
    pub const OWNER: Self = Self(1);

    /// An audience of the game's own, 2 to 7: a team, spectators, who has scouted. The game says who belongs to it.
    ///
    /// # Panics
    /// When it is not 2 to 7; in a `const` this is an error of compilation.
    #[must_use]
    pub const fn custom(number: u8) -> Self {
        assert!(number >= 2 && number < AUDIENCES, "a game's own audience is 2 to 7");
        Self(number)
    }

    /// Its number: 0 everyone, 1 the owner, 2 to 7 the game's own.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Those that are not everyone.
    pub(crate) fn narrow() -> impl Iterator<Item = Self> + Clone {
        (1..AUDIENCES).map(Self)
    }
}

impl NetId {
    /// The greatest name that an entity may have: three bits are left for audiences.
    pub const LAST: Self = Self((1 << ENTITY_BITS) - 1);

    /// The name of what only `audience` may see of this entity: to be listed beside the entity itself for a client that
    /// belongs to it. The entity itself for everyone.
    #[must_use]
    pub const fn seen_by(self, audience: Audience) -> Self {
        Self(self.entity().0 | (audience.0 as u32) << ENTITY_BITS)
    }

    /// The entity of which this is the name, or the name of a part.
    #[must_use]
    pub const fn entity(self) -> Self {
        Self(self.0 & Self::LAST.0)
    }

    /// Whether it names what only some may see.
    #[must_use]
    pub const fn is_part(self) -> bool {
        self.0 > Self::LAST.0
    }
}

const ENTITY_BITS: u32 = 29;
const AUDIENCES: u8 = 8;
