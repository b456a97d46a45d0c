//! What an operator may tune while ships fly: what hits, wrecks and pick-ups are worth. Nothing that a client predicts with.

#[cfg(feature = "server")]
use server_runtime::{Balance, Stray, in_range};

/// The numbers of the table `[balance]` of the server's settings file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "server", derive(bevy_ecs::resource::Resource, serde::Serialize, serde::Deserialize))]
pub struct Tuning {
    /// What one hit takes, of 100.
    pub hit_damage: u8,
    /// What a healing pick-up gives back.
    pub heal: u8,
    /// Points for a hit.
    pub hit_points: u16,
    /// Points for a ship shot down, besides those for the hit.
    pub kill_points: u16,
    /// Points for a pick-up that does not heal.
    pub pickup_points: u16,
    /// Ticks until a taken pick-up lies there again.
    pub restock_ticks: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            hit_damage: 20,
            heal: 40,
            hit_points: 10,
            kill_points: 100,
            pickup_points: 25,
            restock_ticks: 480,
        }
    }
}

#[cfg(feature = "server")]
impl Balance for Tuning {
    fn check(&self) -> Result<(), Stray> {
        in_range("hit_damage", &self.hit_damage, 1..=100)?;
        in_range("heal", &self.heal, 0..=100)?;
        in_range("hit_points", &self.hit_points, 0..=1000)?;
        in_range("kill_points", &self.kill_points, 0..=1000)?;
        in_range("pickup_points", &self.pickup_points, 0..=1000)?;
        in_range("restock_ticks", &self.restock_ticks, 60..=36_000)
    }
}
