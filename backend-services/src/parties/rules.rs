//! What may happen to a party: who joins, who leads, who goes. Pure: the time is an argument, the store is elsewhere.
//!
//! A member who has not been heard of for [`AWAY`] is away: an absent leader's party gets its longest member who is
//! there as leader. After [`GONE`] the member is out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
use crate::ids::PlayerId;

/// A member who is silent for so long is away.
pub const AWAY: Duration = Duration::from_secs(30);
/// A member who is silent for so long is out.
pub const GONE: Duration = Duration::from_secs(120);
/// The largest party.
pub const MEMBERS_MAX: usize = 16;
/// More invitations at a time are refused.
pub const INVITES_MAX: usize = 32;

/// Why something may not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartyFault {
    /// It has its most members.
    #[error("a party has at most {MEMBERS_MAX} members")]
    Full,
    /// Only the leader may.
    #[error("only the party's leader may do that")]
    NotLeader,
    /// Not one of the party.
    #[error("the player is not in the party")]
    NotMember,
    /// Neither code nor invitation.
    #[error("the party's code, or an invitation, is needed")]
    NotInvited,
    /// Too many invitations are open.
    #[error("a party has at most {INVITES_MAX} open invitations")]
    TooManyInvites,
}

/// One of a party.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartyMember {
    /// Who.
    pub player: u64,
    /// What others see.
    pub name: String,
    /// When last heard of, Unix milliseconds.
    pub seen_ms: i64,
    /// Measured round trips by region, milliseconds.
    #[serde(default)]
    pub latencies: BTreeMap<String, u16>,
    /// Roles that the member takes.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// Players who want to play together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Party {
    /// A UUID.
    pub id: String,
    /// Whoever knows it may join.
    pub code: String,
    /// Who decides.
    pub leader: u64,
    /// In the order of joining.
    pub members: Vec<PartyMember>,
    /// Who may join without the code.
    pub invited: Vec<u64>,
}

impl Party {
    /// A party of one.
    pub fn new(id: String, code: String, founder: PlayerId, name: String, now: UnixMs) -> Self {
        let mut party = Self { id, code, leader: founder.as_u64(), members: Vec::new(), invited: Vec::new() };
        party.members.push(member(founder, name, now));
        party
    }

    /// Takes somebody in who knows the code or is invited; who is in stays in.
    ///
    /// # Errors
    /// Neither, or the party is full.
    pub fn join(
        &mut self,
        who: PlayerId,
        name: String,
        code: Option<&str>,
        now: UnixMs,
    ) -> Result<(), PartyFault> {
        if self.has(who) {
            return Ok(());
        }
        let invited = self.invited.contains(&who.as_u64());
        if !invited && code != Some(self.code.as_str()) {
            return Err(PartyFault::NotInvited);
        }
        if self.members.len() >= MEMBERS_MAX {
            return Err(PartyFault::Full);
        }
        self.invited.retain(|other| *other != who.as_u64());
        self.members.push(member(who, name, now));
        Ok(())
    }

    /// Any member may invite.
    ///
    /// # Errors
    /// The inviter is no member, or too many are invited.
    pub fn invite(&mut self, by: PlayerId, who: PlayerId) -> Result<(), PartyFault> {
        if !self.has(by) {
            return Err(PartyFault::NotMember);
        }
        if self.has(who) || self.invited.contains(&who.as_u64()) {
            return Ok(());
        }
        if self.invited.len() >= INVITES_MAX {
            return Err(PartyFault::TooManyInvites);
        }
        self.invited.push(who.as_u64());
        Ok(())
    }

    /// Somebody goes; the longest of the others leads if it was the leader.
    ///
    /// # Errors
    /// Not a member.
    pub fn leave(&mut self, who: PlayerId, now: UnixMs) -> Result<(), PartyFault> {
        if !self.has(who) {
            return Err(PartyFault::NotMember);
        }
        self.members.retain(|member| member.player != who.as_u64());
        self.lead_on(now);
        Ok(())
    }

    /// The leader sends somebody away, invitation included.
    ///
    /// # Errors
    /// Not the leader, or not a member.
    pub fn kick(&mut self, by: PlayerId, who: PlayerId, now: UnixMs) -> Result<(), PartyFault> {
        self.led_by(by)?;
        self.leave(who, now)
    }

    /// The leader hands over.
    ///
    /// # Errors
    /// Not the leader, or not a member.
    pub fn promote(&mut self, by: PlayerId, who: PlayerId) -> Result<(), PartyFault> {
        self.led_by(by)?;
        if !self.has(who) {
            return Err(PartyFault::NotMember);
        }
        self.leader = who.as_u64();
        Ok(())
    }

    /// A member was heard of; what it measured since replaces what was known.
    ///
    /// # Errors
    /// Not a member.
    pub fn heard(&mut self, who: PlayerId, now: UnixMs) -> Result<&mut PartyMember, PartyFault> {
        let found = self.members.iter_mut().find(|member| member.player == who.as_u64());
        let member = found.ok_or(PartyFault::NotMember)?;
        member.seen_ms = now.0;
        Ok(member)
    }

    /// Lets members go who have been silent for too long. Who went.
    pub fn sweep(&mut self, now: UnixMs) -> Vec<PlayerId> {
        let gone = |member: &PartyMember| now.since(UnixMs(member.seen_ms)) >= GONE;
        let out = self.members.iter().filter(|m| gone(m)).filter_map(|m| PlayerId::new(m.player)).collect();
        self.members.retain(|member| !gone(member));
        self.lead_on(now);
        out
    }

    /// Whether this player is in it.
    pub fn has(&self, who: PlayerId) -> bool {
        self.members.iter().any(|member| member.player == who.as_u64())
    }

    /// Fails unless this player leads.
    ///
    /// # Errors
    /// Somebody else does.
    pub fn led_by(&self, who: PlayerId) -> Result<(), PartyFault> {
        if self.leader == who.as_u64() { Ok(()) } else { Err(PartyFault::NotLeader) }
    }

    /// The worst way of the party to each region that every member has measured.
    pub fn latencies(&self) -> BTreeMap<String, u16> {
        let measured: Vec<_> = self.members.iter().filter(|m| !m.latencies.is_empty()).collect();
        let Some(first) = measured.first() else { return BTreeMap::new() };
        let worst = |region: &String| {
            let ways: Option<Vec<u16>> = measured.iter().map(|m| m.latencies.get(region).copied()).collect();
            ways.and_then(|ways| ways.into_iter().max())
        };
        first.latencies.keys().filter_map(|region| Some((region.clone(), worst(region)?))).collect()
    }

    fn lead_on(&mut self, now: UnixMs) {
        let here = |member: &&PartyMember| now.since(UnixMs(member.seen_ms)) < AWAY;
        let leads = |member: &PartyMember| member.player == self.leader;
        if self.members.iter().any(|member| leads(member) && here(&member)) {
            return;
        }
        let next = self.members.iter().find(here);
        let stays = self.members.iter().find(|member| leads(member));
        if let Some(member) = next.or(stays).or(self.members.first()) {
            self.leader = member.player;
        }
    }
}

fn member(player: PlayerId, name: String, now: UnixMs) -> PartyMember {
    PartyMember {
        player: player.as_u64(),
        name,
        seen_ms: now.0,
        latencies: BTreeMap::new(),
        roles: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> PlayerId {
        PlayerId::new(number).expect("an id")
    }

    fn party(members: u64) -> Party {
        let mut party = Party::new("p".to_owned(), "CODE".to_owned(), id(1), "1".to_owned(), UnixMs(0));
        for number in 2..=members {
            party.join(id(number), number.to_string(), Some("CODE"), UnixMs(0)).expect("room");
        }
        party
    }

    #[test]
    fn who_may_join() {
        let mut party = party(2);
        let mut join = |number, code| party.join(id(number), String::new(), code, UnixMs(0));
        assert_eq!(join(3, None), Err(PartyFault::NotInvited));
        assert_eq!(join(3, Some("code")), Err(PartyFault::NotInvited));
        assert_eq!(join(2, None), Ok(()), "who is in stays in");
        assert_eq!(party.invite(id(9), id(3)), Err(PartyFault::NotMember));
        assert_eq!(party.invite(id(2), id(3)), Ok(()));
        assert_eq!(party.join(id(3), String::new(), None, UnixMs(0)), Ok(()));
        assert!(party.invited.is_empty(), "an invitation is good once");
        let mut full = self::party(MEMBERS_MAX as u64);
        assert_eq!(full.join(id(99), String::new(), Some("CODE"), UnixMs(0)), Err(PartyFault::Full));
        (100..100 + INVITES_MAX as u64).for_each(|n| full.invite(id(1), id(n)).expect("room"));
        assert_eq!(full.invite(id(1), id(999)), Err(PartyFault::TooManyInvites));
    }

    #[test]
    fn leaders_come_and_go() {
        let mut party = party(4);
        assert_eq!(party.kick(id(2), id(3), UnixMs(0)), Err(PartyFault::NotLeader));
        assert_eq!(party.kick(id(1), id(9), UnixMs(0)), Err(PartyFault::NotMember));
        assert_eq!(party.kick(id(1), id(3), UnixMs(0)), Ok(()));
        assert_eq!(party.promote(id(1), id(4)), Ok(()));
        assert_eq!(party.leader, 4);
        party.leave(id(4), UnixMs(0)).expect("a member");
        assert_eq!(party.leader, 1, "the longest member leads");
    }

    #[test]
    fn an_absent_leader_is_followed_by_who_is_there() {
        let mut party = party(3);
        let later = UnixMs(0).plus(AWAY);
        party.heard(id(3), later).expect("a member");
        assert!(party.sweep(later).is_empty());
        assert_eq!(party.leader, 3, "2 is away too");
        let last = UnixMs(0).plus(GONE);
        assert_eq!(party.sweep(last), [id(1), id(2)]);
        assert_eq!(party.members.len(), 1);
        assert_eq!(party.sweep(later.plus(GONE)), [id(3)]);
    }

    #[test]
    fn the_worst_way_counts_and_all_must_have_measured_it() {
        let mut party = party(3);
        let ways = |pairs: &[(&str, u16)]| pairs.iter().map(|(r, ms)| ((*r).to_owned(), *ms)).collect();
        party.members[0].latencies = ways(&[("eu", 20), ("us", 90)]);
        party.members[1].latencies = ways(&[("eu", 40)]);
        assert_eq!(party.latencies(), ways(&[("eu", 40)]));
    }
}
