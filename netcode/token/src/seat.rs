//! What our backend writes into a token's user data and our server reads: who sits where in which match.
//!
//! Must never know how the token travels.
//!
//! | byte | field |
//! |---|---|
//! | 0 | layout, 1 |
//! | 1 | match id, 16 bytes |
//! | 17 | player, 8 bytes |
//! | 25 | team |
//! | 26 | rating × 1000, 4 bytes, signed |
//! | 30 | length of the name, 0 to 32 |
//! | 31 | name, UTF-8, then zeros |

use netcode_wire::{ByteReader, ByteWriter, WireError};

use crate::{TokenError, USER_DATA_LEN};

/// Longest name in a seat, bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 32;

const LAYOUT: u8 = 1;

/// A player's place in a match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seat {
    /// Which match.
    pub match_id: u128,
    /// Which player.
    pub player: u64,
    /// Which team.
    pub team: u8,
    /// The rating that the match was made with, in thousandths.
    pub rating_milli: i32,
    /// The name to show. `encode` cuts it to [`NAME_BYTES_MAX`] bytes at a character's edge.
    pub name: String,
}

impl Seat {
    /// The seat as user data.
    #[must_use]
    pub fn encode(&self) -> [u8; USER_DATA_LEN] {
        let mut bytes = [0; USER_DATA_LEN];
        self.write(&mut ByteWriter::new(&mut bytes)).expect("a seat takes at most 63 of 256 bytes");
        bytes
    }

    /// Reads a seat from user data.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] when the data is of another layout, or its name too long or not UTF-8.
    pub fn decode(user_data: &[u8; USER_DATA_LEN]) -> Result<Self, TokenError> {
        let mut input = ByteReader::new(user_data);
        if input.u8()? != LAYOUT {
            return Err(TokenError::Malformed("seat layout"));
        }
        let mut seat = Self {
            match_id: input.u128()?,
            player: input.u64()?,
            team: input.u8()?,
            rating_milli: input.i32()?,
            name: String::new(),
        };
        let name_len = usize::from(input.u8()?);
        if name_len > NAME_BYTES_MAX {
            return Err(TokenError::Malformed("length of a seat's name"));
        }
        let name = std::str::from_utf8(input.slice(name_len)?);
        name.map_err(|_| TokenError::Malformed("seat's name is not UTF-8"))?.clone_into(&mut seat.name);
        Ok(seat)
    }

    fn write(&self, out: &mut ByteWriter<'_>) -> Result<(), WireError> {
        let name = &self.name[..self.name.floor_char_boundary(NAME_BYTES_MAX)];
        out.u8(LAYOUT)?;
        out.u128(self.match_id)?;
        out.u64(self.player)?;
        out.u8(self.team)?;
        out.i32(self.rating_milli)?;
        out.u8(name.len() as u8)?;
        out.slice(name.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_cut_at_a_characters_edge() {
        let seat = Seat { name: "é".repeat(17), ..Seat::default() };
        assert_eq!(Seat::decode(&seat.encode()).map(|seat| seat.name), Ok("é".repeat(16)));
    }

    #[test]
    fn other_layouts_are_refused() {
        let mut bytes = Seat::default().encode();
        bytes[30] = 33;
        assert_eq!(Seat::decode(&bytes), Err(TokenError::Malformed("length of a seat's name")));
        bytes[30] = 1;
        bytes[31] = 0xff;
        assert_eq!(Seat::decode(&bytes), Err(TokenError::Malformed("seat's name is not UTF-8")));
        assert_eq!(Seat::decode(&[0; USER_DATA_LEN]), Err(TokenError::Malformed("seat layout")));
    }

    proptest! {
        #[test]
        fn seats_survive_the_round_trip(match_id in any::<u128>(), player in any::<u64>(), team in any::<u8>(), rating_milli in any::<i32>(), name in "[a-z]{0,32}") {
            let seat = Seat { match_id, player, team, rating_milli, name };
            prop_assert_eq!(Seat::decode(&seat.encode()), Ok(seat));
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), USER_DATA_LEN)) {
            let bytes: [u8; USER_DATA_LEN] = bytes.try_into().unwrap();
            let _ = Seat::decode(&bytes);
        }
    }
}
