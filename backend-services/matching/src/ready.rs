//! The ready check: the players of a match that was found are asked, and what their answers come to. Pure: where answers
//! are kept and who asks is elsewhere; the time is an argument.
//!
//! Nobody is at fault but who declines or is silent: that ticket leaves whole, all others wait on as old as they are. What
//! all accepted begins, be it judged after its deadline (the node that asked may have died).

use crate::ticket::{Millis, TicketId};

/// What the members of one ticket have answered so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Whose.
    pub ticket: TicketId,
    /// How many they are, 1 to 16.
    pub members: usize,
    /// Bit `i`: member `i` has accepted.
    pub accepted: u16,
}

impl Answers {
    /// All have accepted.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.count() == self.members
    }

    /// How many have accepted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.accepted.count_ones() as usize
    }
}

/// What is to be done about a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody may still answer.
    Wait,
    /// All have accepted.
    Start,
    /// There will be no match.
    Over {
        /// Tickets that were not ready in time: they leave the queue.
        out: Vec<TicketId>,
        /// Tickets that wait on.
        back: Vec<TicketId>,
    },
}

/// What one player's answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Who has accepted by now.
    Accepted(u16),
    /// The ticket leaves the queue.
    Leaves,
    /// The player had said so already.
    Again,
    /// The deadline has passed.
    TooLate,
}

/// What is to be done at `now` about a match of so many `players`, of whose tickets these are still asked.
#[must_use]
pub fn judge(players: usize, asked: &[Answers], deadline: Millis, now: Millis) -> Verdict {
    let tickets = || asked.iter().map(|answers| answers.ticket);
    if asked.iter().map(|answers| answers.members).sum::<usize>() < players {
        // Somebody declined or went: who has not answered yet is not at fault.
        return Verdict::Over { out: Vec::new(), back: tickets().collect() };
    }
    if asked.iter().all(Answers::whole) {
        return Verdict::Start;
    }
    if now < deadline {
        return Verdict::Wait;
    }
    let (back, out): (Vec<&Answers>, Vec<&Answers>) = asked.iter().partition(|answers| answers.whole());
    let ids = |some: Vec<&Answers>| some.into_iter().map(|answers| answers.ticket).collect();
    Verdict::Over { out: ids(out), back: ids(back) }
}

/// What it comes to when `member` of a ticket that is asked says yes or no at `now`. A yes can be taken back until the
/// match begins.
#[must_use]
pub fn reply(accepted: u16, member: usize, accept: bool, deadline: Millis, now: Millis) -> Reply {
    let bit = 1_u16.checked_shl(u32::try_from(member).unwrap_or(u32::MAX)).unwrap_or(0);
    if accept && accepted & bit != 0 {
        return Reply::Again;
    }
    if now >= deadline {
        return Reply::TooLate;
    }
    if accept { Reply::Accepted(accepted | bit) } else { Reply::Leaves }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Millis = Millis(1000);

    fn asked(tickets: &[(usize, u16)]) -> Vec<Answers> {
        let answers =
            |(id, &(members, accepted))| Answers { ticket: TicketId(id as u128), members, accepted };
        tickets.iter().enumerate().map(answers).collect()
    }

    fn over(out: &[u128], back: &[u128]) -> Verdict {
        let ids = |ids: &[u128]| ids.iter().copied().map(TicketId).collect();
        Verdict::Over { out: ids(out), back: ids(back) }
    }

    #[test]
    fn what_answers_come_to() {
        type Case<'a> = (&'a [(usize, u16)], u64, Verdict);
        let cases: [Case<'_>; 8] = [
            (&[(1, 1), (1, 1), (2, 0b11)], 0, Verdict::Start),
            (&[(1, 1), (1, 1), (2, 0b11)], 5000, Verdict::Start),
            (&[(1, 1), (1, 0), (2, 0b11)], 999, Verdict::Wait),
            (&[(1, 1), (1, 0), (2, 0b11)], 1000, over(&[1], &[0, 2])),
            (&[(1, 1), (1, 1), (2, 0b10)], 1000, over(&[2], &[0, 1])),
            (&[(1, 0), (1, 0), (2, 0)], 1000, over(&[0, 1, 2], &[])),
            (&[(1, 1), (2, 0)], 0, over(&[], &[0, 1])),
            (&[], 0, over(&[], &[])),
        ];
        for (tickets, now, expected) in cases {
            assert_eq!(judge(4, &asked(tickets), DEADLINE, Millis(now)), expected, "{tickets:?} {now}");
        }
    }

    #[test]
    fn what_one_answer_comes_to() {
        let cases = [
            (0, 0, true, 0, Reply::Accepted(1)),
            (0b1, 15, true, 999, Reply::Accepted(0x8001)),
            (0b1, 0, true, 999, Reply::Again),
            (0b1, 0, true, 5000, Reply::Again),
            (0b1, 0, false, 999, Reply::Leaves),
            (0b1, 1, false, 0, Reply::Leaves),
            (0b1, 1, true, 1000, Reply::TooLate),
            (0b1, 1, false, 1000, Reply::TooLate),
        ];
        for (accepted, member, accept, now, expected) in cases {
            let told = reply(accepted, member, accept, DEADLINE, Millis(now));
            assert_eq!(told, expected, "{accepted} {member} {accept} {now}");
        }
    }
}
