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
    /// The greatest name that an entity may have: three bits are left for audiences, and one for distance.
    pub const LAST: Self = Self((1 << FAR_BIT) - 1);

    /// The name of what only `audience` may see of this entity: to be listed beside the entity itself for a client that
    /// belongs to it. The entity itself for everyone.
    #[must_use]
    pub const fn seen_by(self, audience: Audience) -> Self {
        Self(self.0 & !(u32::MAX << AUDIENCE_BIT) | (audience.0 as u32) << AUDIENCE_BIT)
    }

    /// To be listed for a client in place of the entity (or of a part of it) where it is far from who looks: its components
    /// are then told as coarsely as they state ([`Far`](crate::Far)). Lists ascend as if everything were near.
    #[must_use]
    pub const fn from_afar(self) -> Self {
        Self(self.0 | 1 << FAR_BIT)
    }

    /// Whether it was listed as far.
    #[must_use]
    pub const fn is_far(self) -> bool {
        self.0 >> FAR_BIT & 1 == 1
    }

    /// The name on the wire, and in frames: however far.
    #[must_use]
    pub(crate) const fn row(self) -> Self {
        Self(self.0 & !(1 << FAR_BIT))
    }

    /// The entity of which this is the name, or the name of a part.
    #[must_use]
    pub const fn entity(self) -> Self {
        Self(self.0 & Self::LAST.0)
    }

    /// Whether it names what only some may see.
    #[must_use]
    pub const fn is_part(self) -> bool {
        self.0 >> AUDIENCE_BIT != 0
    }
}

const AUDIENCE_BIT: u32 = 29;
/// Never on the wire, and never in a frame: only in lists of who is relevant.
const FAR_BIT: u32 = 28;
const AUDIENCES: u8 = 8;
