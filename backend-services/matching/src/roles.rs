//! Whether players can fill a team's roles: a matching of players to slots. Pure arithmetic on bits.

use crate::rules::RoleSlots;

/// Whether these players, and `open` more of any kind, can fill every slot. `takes[i]` are the roles that
/// player `i` takes, as bits by the place of the role in `slots`.
pub(crate) fn can_fill(slots: &[RoleSlots], takes: &[u8], open: usize) -> bool {
    let needed: usize = slots.iter().map(|slot| slot.count).sum();
    needed <= open || filled(slots, takes) + open >= needed
}

/// The most slots that these players fill, each one slot (augmenting paths, Kuhn 1955).
fn filled(slots: &[RoleSlots], takes: &[u8]) -> usize {
    let mut holders: Vec<Vec<usize>> = vec![Vec::new(); slots.len()];
    let mut filled = 0;
    for player in 0..takes.len() {
        let mut seen = 0_u8;
        filled += usize::from(seat(slots, takes, &mut holders, player, &mut seen));
    }
    filled
}

fn seat(slots: &[RoleSlots], takes: &[u8], holders: &mut [Vec<usize>], player: usize, seen: &mut u8) -> bool {
    for (role, slot) in slots.iter().enumerate() {
        let bit = 1 << role;
        if takes[player] & bit == 0 || *seen & bit != 0 {
            continue;
        }
        *seen |= bit;
        if holders[role].len() < slot.count {
            holders[role].push(player);
            return true;
        }
        for place in 0..holders[role].len() {
            let holder = holders[role][place];
            if seat(slots, takes, holders, holder, seen) {
                holders[role][place] = player;
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(counts: &[usize]) -> Vec<RoleSlots> {
        counts.iter().enumerate().map(|(i, &count)| RoleSlots { role: i.to_string(), count }).collect()
    }

    #[test]
    fn flexible_players_make_room() {
        let team = slots(&[1, 1, 3]);
        assert!(can_fill(&team, &[0b111, 0b001, 0b100, 0b100, 0b100], 0));
        assert!(!can_fill(&team, &[0b101, 0b001, 0b100, 0b100, 0b100], 0), "nobody takes role 1");
        assert!(can_fill(&team, &[0b101, 0b001], 3));
        assert!(
            !can_fill(&team, &[0b001, 0b001], 3),
            "one of two is over, and four places are left to three"
        );
        assert!(can_fill(&[], &[1, 2], 0));
    }
}
