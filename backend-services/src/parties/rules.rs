//! What may happen to a party: who joins, who leads, who goes. Pure: the time is an argument, the store is elsewhere.
//!
//! A member who has not been heard of for [`Limits::away`] is away: an absent leader's party gets its longest member
//! who is there as leader. After [`Limits::gone`] the member is out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
use crate::ids::PlayerId;

/// The largest party: what one ticket holds.
pub const MEMBERS_MAX: usize = matching::PARTY_MAX;
/// More invitations at a time are refused.
pub const INVITES_MAX: usize = 32;
/// An invitation that nobody takes is forgotten after this.
pub const INVITE_LIFE: Duration = Duration::from_secs(600);
/// More regions than a member measures.
pub const REGIONS_MAX: usize = 32;

/// How long things last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A member who is silent for so long is away.
    pub away: Duration,
    /// A member who is silent for so long is out.
    pub gone: Duration,
    /// A code works for so long.
    pub code_life: Duration,
}

/// Why something may not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartyFault {
    /// It has its most members.
    #[error("the party has its most members")]
    Full,
    /// Only the leader may.
    #[error("only the party's leader may do that")]
    NotLeader,
    /// Not one of the party.
    #[error("the player is not in the party")]
    NotMember,
    /// Neither a code that works nor an invitation.
    #[error("the party's code of now, or an invitation, is needed")]
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
    /// When last heard of; kept beside the party, since it changes all the time.
    #[serde(skip)]
    pub seen: UnixMs,
    /// Measured round trips by region, milliseconds.
    #[serde(default)]
    pub latencies: BTreeMap<String, u16>,
    /// Roles that the member takes.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// Somebody who may join without the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// Who.
    pub player: u64,
    /// Until when, Unix milliseconds.
    pub until_ms: i64,
}

/// Players who want to play together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Party {
    /// A UUID.
    pub id: String,
    /// Whoever knows it may join.
    pub code: String,
    /// Until when, Unix milliseconds.
    pub code_until_ms: i64,
    /// Members at most, 2 to 16.
    pub members_max: usize,
    /// Who decides.
    pub leader: u64,
    /// In the order of joining.
    pub members: Vec<PartyMember>,
    /// Who may join without the code.
    pub invited: Vec<Invite>,
    /// The ticket that it queued with last; kept beside the party.
    #[serde(skip)]
    pub ticket: Option<String>,
}

impl Party {
    /// A party of one, with room for `members_max`.
    pub fn new(id: String, founder: PlayerId, name: String, members_max: usize, now: UnixMs) -> Self {
        Self {
            id,
            code: String::new(),
            code_until_ms: 0,
            members_max: members_max.clamp(2, MEMBERS_MAX),
            leader: founder.as_u64(),
            members: vec![member(founder, name, now)],
            invited: Vec::new(),
            ticket: None,
        }
    }

    /// Another code; the old one works no more.
    pub fn renew_code(&mut self, code: String, until: UnixMs) {
        (self.code, self.code_until_ms) = (code, until.0);
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
        let knows = code == Some(self.code.as_str()) && now.0 < self.code_until_ms;
        if !knows && !self.invites(who, now) {
            return Err(PartyFault::NotInvited);
        }
        if self.members.len() >= self.members_max {
            return Err(PartyFault::Full);
        }
        self.uninvite(who);
        self.members.push(member(who, name, now));
        Ok(())
    }

    /// Any member may invite; inviting again makes the invitation last.
    ///
    /// # Errors
    /// The inviter is no member, or too many are invited.
    pub fn invite(&mut self, by: PlayerId, who: PlayerId, now: UnixMs) -> Result<(), PartyFault> {
        if !self.has(by) {
            return Err(PartyFault::NotMember);
        }
        if self.has(who) {
            return Ok(());
        }
        self.invited.retain(|invite| invite.until_ms > now.0 && invite.player != who.as_u64());
        if self.invited.len() >= INVITES_MAX {
            return Err(PartyFault::TooManyInvites);
        }
        self.invited.push(Invite { player: who.as_u64(), until_ms: now.plus(INVITE_LIFE).0 });
        Ok(())
    }

    /// An invitation is turned down, or taken back.
    pub fn uninvite(&mut self, who: PlayerId) {
        self.invited.retain(|invite| invite.player != who.as_u64());
    }

    /// Whether this player may come without the code.
    pub fn invites(&self, who: PlayerId, now: UnixMs) -> bool {
        self.invited.iter().any(|invite| invite.player == who.as_u64() && invite.until_ms > now.0)
    }

    /// Somebody goes; the longest of the others who is there leads if it was the leader.
    ///
    /// # Errors
    /// Not a member.
    pub fn leave(&mut self, who: PlayerId, limits: &Limits, now: UnixMs) -> Result<(), PartyFault> {
        if !self.has(who) {
            return Err(PartyFault::NotMember);
        }
        self.members.retain(|member| member.player != who.as_u64());
        self.lead_on(limits, now);
        Ok(())
    }

    /// The leader sends somebody away. The caller gives the party another code: the one who goes knows the old one.
    ///
    /// # Errors
    /// Not the leader, or not a member.
    pub fn kick(
        &mut self,
        by: PlayerId,
        who: PlayerId,
        limits: &Limits,
        now: UnixMs,
    ) -> Result<(), PartyFault> {
        self.led_by(by)?;
        self.leave(who, limits, now)
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

    /// What a member measured and takes, in place of what was known.
    ///
    /// # Errors
    /// Not a member.
    pub fn measured(
        &mut self,
        who: PlayerId,
        latencies: Option<&BTreeMap<String, u16>>,
        roles: Option<&Vec<String>>,
    ) -> Result<(), PartyFault> {
        let found = self.members.iter_mut().find(|member| member.player == who.as_u64());
        let member = found.ok_or(PartyFault::NotMember)?;
        if let Some(latencies) = latencies {
            member.latencies.clone_from(latencies);
        }
        if let Some(roles) = roles {
            member.roles.clone_from(roles);
        }
        Ok(())
    }

    /// Lets members go who have been silent for too long, and lead who is there.
    pub fn sweep(&mut self, limits: &Limits, now: UnixMs) {
        self.members.retain(|member| now.since(member.seen) < limits.gone);
        self.lead_on(limits, now);
    }

    /// Whether this player is in it.
    pub fn has(&self, who: PlayerId) -> bool {
        self.members.iter().any(|member| member.player == who.as_u64())
    }

    /// Its members.
    pub fn player_ids(&self) -> impl Iterator<Item = PlayerId> + '_ {
        self.members.iter().filter_map(|member| PlayerId::new(member.player))
    }

    /// Fails unless this player leads.
    ///
    /// # Errors
    /// Somebody else does.
    pub fn led_by(&self, who: PlayerId) -> Result<(), PartyFault> {
        if self.leader == who.as_u64() { Ok(()) } else { Err(PartyFault::NotLeader) }
    }

    /// The worst way of the party to each region that every member has measured; members who measured nothing do not
    /// count.
    pub fn latencies(&self) -> BTreeMap<String, u16> {
        let measured: Vec<_> = self.members.iter().filter(|m| !m.latencies.is_empty()).collect();
        let Some(first) = measured.first() else { return BTreeMap::new() };
        let worst = |region: &String| {
            let ways: Option<Vec<u16>> = measured.iter().map(|m| m.latencies.get(region).copied()).collect();
            ways.and_then(|ways| ways.into_iter().max())
        };
        first.latencies.keys().filter_map(|region| Some((region.clone(), worst(region)?))).collect()
    }

    fn lead_on(&mut self, limits: &Limits, now: UnixMs) {
        let here = |member: &&PartyMember| now.since(member.seen) < limits.away;
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

/// Whether a ticket and a party are of the same players: what is looked at before a match takes the ticket. `mates` are
/// all in the party of the ticket's first player, nobody if that is in none.
pub fn whole(ticket: &[PlayerId], mates: &[PlayerId]) -> bool {
    let alone = ticket.len() == 1 && mates.is_empty();
    alone || (mates.len() == ticket.len() && ticket.iter().all(|player| mates.contains(player)))
}

fn member(player: PlayerId, name: String, now: UnixMs) -> PartyMember {
    PartyMember { player: player.as_u64(), name, seen: now, latencies: BTreeMap::new(), roles: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        away: Duration::from_secs(30),
        gone: Duration::from_secs(120),
        code_life: Duration::from_secs(60),
    };

    fn id(number: u64) -> PlayerId {
        PlayerId::new(number).expect("an id")
    }

    fn party(members: u64) -> Party {
        let mut party = Party::new("p".to_owned(), id(1), "1".to_owned(), MEMBERS_MAX, UnixMs(0));
        party.renew_code("CODE".to_owned(), UnixMs(0).plus(LIMITS.code_life));
        for number in 2..=members {
            party.join(id(number), number.to_string(), Some("CODE"), UnixMs(0)).expect("room");
        }
        party
    }

    fn seen(party: &mut Party, number: u64, now: UnixMs) {
        party.members.iter_mut().filter(|m| m.player == number).for_each(|m| m.seen = now);
    }

    #[test]
    fn who_may_join() {
        let mut party = party(2);
        let now = UnixMs(0);
        let mut join = |number, code| party.join(id(number), String::new(), code, now);
        assert_eq!(join(3, None), Err(PartyFault::NotInvited));
        assert_eq!(join(3, Some("code")), Err(PartyFault::NotInvited));
        assert_eq!(join(2, None), Ok(()), "who is in stays in");
        assert_eq!(party.invite(id(9), id(3), now), Err(PartyFault::NotMember));
        assert_eq!(party.invite(id(2), id(3), now), Ok(()));
        assert_eq!(party.join(id(3), String::new(), None, now), Ok(()));
        assert!(party.invited.is_empty(), "an invitation is good once");
        let mut full = self::party(MEMBERS_MAX as u64);
        assert_eq!(full.join(id(99), String::new(), Some("CODE"), now), Err(PartyFault::Full));
        (100..100 + INVITES_MAX as u64).for_each(|n| full.invite(id(1), id(n), now).expect("room"));
        assert_eq!(full.invite(id(1), id(999), now), Err(PartyFault::TooManyInvites));
        full.uninvite(id(100));
        assert_eq!(full.invite(id(1), id(999), now), Ok(()));
    }

    #[test]
    fn codes_and_invitations_end() {
        let mut party = party(1);
        party.invite(id(1), id(3), UnixMs(0)).expect("a member");
        let join = |number, code, now| party.clone().join(id(number), String::new(), code, now);
        assert_eq!(join(2, Some("CODE"), UnixMs(59_999)), Ok(()));
        assert_eq!(join(2, Some("CODE"), UnixMs(60_000)), Err(PartyFault::NotInvited));
        assert_eq!(join(3, None, UnixMs(599_999)), Ok(()));
        assert_eq!(join(3, None, UnixMs(600_000)), Err(PartyFault::NotInvited));
        let late = UnixMs(600_000);
        (100..100 + INVITES_MAX as u64).for_each(|n| party.invite(id(1), id(n), late).expect("room"));
        assert_eq!(party.invited.len(), INVITES_MAX, "what has ended makes room");
        party.renew_code("OTHER".to_owned(), late.plus(LIMITS.code_life));
        assert_eq!(party.join(id(2), String::new(), Some("CODE"), late), Err(PartyFault::NotInvited));
        assert_eq!(party.join(id(2), String::new(), Some("OTHER"), late), Ok(()));
    }

    #[test]
    fn leaders_come_and_go() {
        let (mut party, now) = (party(4), UnixMs(0));
        assert_eq!(party.kick(id(2), id(3), &LIMITS, now), Err(PartyFault::NotLeader));
        assert_eq!(party.kick(id(1), id(9), &LIMITS, now), Err(PartyFault::NotMember));
        assert_eq!(party.kick(id(1), id(3), &LIMITS, now), Ok(()));
        assert_eq!(party.promote(id(1), id(4)), Ok(()));
        assert_eq!(party.leader, 4);
        party.leave(id(4), &LIMITS, now).expect("a member");
        assert_eq!(party.leader, 1, "the longest member leads");
    }

    #[test]
    fn an_absent_leader_is_followed_by_who_is_there() {
        let mut party = party(3);
        let later = UnixMs(0).plus(LIMITS.away);
        seen(&mut party, 3, later);
        party.sweep(&LIMITS, later);
        assert_eq!((party.leader, party.members.len()), (3, 3), "2 is away too");
        party.sweep(&LIMITS, UnixMs(0).plus(LIMITS.gone));
        assert_eq!(party.members.iter().map(|m| m.player).collect::<Vec<_>>(), [3]);
        party.sweep(&LIMITS, later.plus(LIMITS.gone));
        assert!(party.members.is_empty());
    }

    #[test]
    fn the_worst_way_counts_and_all_must_have_measured_it() {
        let mut party = party(3);
        let ways = |pairs: &[(&str, u16)]| pairs.iter().map(|(r, ms)| ((*r).to_owned(), *ms)).collect();
        party.measured(id(1), Some(&ways(&[("eu", 20), ("us", 90)])), None).expect("a member");
        party.measured(id(2), Some(&ways(&[("eu", 40)])), None).expect("a member");
        assert_eq!(party.latencies(), ways(&[("eu", 40)]));
    }

    #[test]
    fn a_ticket_is_whole_if_it_is_the_party() {
        let ids = |numbers: &[u64]| numbers.iter().copied().map(id).collect::<Vec<_>>();
        let cases: [(&[u64], &[u64], bool); 8] = [
            (&[1], &[], true),
            (&[1], &[1], true),
            (&[1], &[1, 2], false),
            (&[1, 2], &[2, 1], true),
            (&[1, 2], &[1, 2, 3], false),
            (&[1, 2], &[1], false),
            (&[1, 2], &[], false),
            (&[1, 2, 3], &[1, 2, 4], false),
        ];
        for (ticket, mates, expected) in cases {
            assert_eq!(whole(&ids(ticket), &ids(mates)), expected, "{ticket:?} {mates:?}");
        }
    }
}
