//! The game's own check of inputs, and the limits beyond which a player is put out. Owns when either is asked; must never
//! know what is plausible.

use std::collections::HashMap;

use bevy_ecs::prelude::Entity;
use netcode_wire::Time;

use super::{Room, codes};
use crate::builder::ServerGame;
use crate::check::{Checked, Verdict};
use crate::player::PlayerId;
use crate::suspicion::Suspicion;

impl<G: ServerGame> Room<G> {
    /// Asks the game about every input of this tick that its player has given. What it refuses is neutral, and is recorded as
    /// such: a replay asks nobody.
    pub(super) fn check_inputs(&mut self) {
        let Some(check) = &self.input_check else { return };
        let owned: HashMap<PlayerId, Entity> = (self.owners.iter(&self.world))
            .filter(|(entity, _)| self.world.get::<G::State>(*entity).is_some())
            .map(|(entity, owner)| (owner.0, entity))
            .collect();
        for (player, input) in self.inputs.iter_mut().filter(|(_, input)| input.fresh) {
            let state = owned.get(player).and_then(|entity| self.world.get::<G::State>(*entity));
            let checked = Checked {
                player: *player,
                tick: self.tick,
                input: &input.current,
                previous: &input.previous,
                state,
                world: &self.world,
            };
            let verdict = check(&checked);
            let Some(player) = self.players.get_mut(*player).filter(|_| verdict != Verdict::Plausible) else {
                continue;
            };
            player.offences.add(Suspicion::Implausible, 1);
            if verdict == Verdict::Refused {
                (input.current, input.fresh) = (G::Input::default(), false);
                player.previous = G::Input::default();
            }
        }
    }

    /// Puts out who did what honest clients do not, more often than the limits allow.
    pub(super) fn put_out_the_suspicious(&mut self, now: Time) {
        if !self.input_limits.kicks() {
            return;
        }
        let here = self.players.iter().filter(|player| player.client().is_some());
        let over =
            here.filter_map(|player| Some((player.id, self.input_limits.reached(&player.suspicions())?)));
        for (player, kind) in over.collect::<Vec<_>>() {
            tracing::warn!(player = player.0, suspicion = kind.name(), "put out");
            self.bar(now, player, codes::SUSPICIOUS, None);
        }
    }
}
