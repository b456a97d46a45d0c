//! The world as the player sees it: remote entities interpolated, the own one predicted.
//! Owns nothing: it borrows. Must never know the wire or the clock.

use netcode_snapshot::{COLUMNS_MAX, ComponentId, Frame, NetId, Replicate, Schema, ViewTime};
use netcode_wire::Tick;

use crate::interpolate::Between;

/// A look at the world. Remote entities are shown at [`WorldView::time`]; the own entity's predicted component as
/// predicted for [`WorldView::tick`], and its other components as they came last.
#[derive(Clone, Copy, Debug)]
pub struct WorldView<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) between: Option<Between<'a>>,
    pub(crate) newest: Option<&'a Frame>,
    pub(crate) own: Option<NetId>,
    pub(crate) predicted: Option<Predicted<'a>>,
    pub(crate) tick: Tick,
    pub(crate) time: ViewTime,
}

/// The predicted component of the own entity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Predicted<'a> {
    pub(crate) component: ComponentId,
    pub(crate) columns: &'a [u32; COLUMNS_MAX],
    /// Whether two rows of this component belong to one life.
    pub(crate) same_life: fn(&[u32], &[u32]) -> bool,
    /// Whether `columns` holds a prediction.
    pub(crate) known: bool,
}

impl<'a> WorldView<'a> {
    /// The player's own entity, once the server has named it.
    #[must_use]
    pub fn own(&self) -> Option<NetId> {
        self.own
    }

    /// The client's tick: the one whose input is being asked for, or was last.
    #[must_use]
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// The moment at which remote entities are shown, in server ticks. The server is told the same, so that it can
    /// judge a shot by what the shooter saw.
    #[must_use]
    pub fn time(&self) -> ViewTime {
        self.time
    }

    /// The entities shown, ascending.
    pub fn entities(&self) -> impl Iterator<Item = NetId> + 'a {
        self.between.map(|between| between.base()).into_iter().flat_map(Frame::entities)
    }

    /// Whether the entity is shown.
    #[must_use]
    pub fn contains(&self, id: NetId) -> bool {
        self.between.is_some_and(|between| between.base().contains(id))
    }

    /// A component of an entity as the player sees it. `None` where the entity is not shown or has none.
    #[must_use]
    pub fn get<T: Replicate>(&self, id: NetId) -> Option<T> {
        let component = self.schema.id_of::<T>()?;
        if Some(id) == self.own {
            return self.own_component(component, id);
        }
        self.shown(component, id)
    }

    /// Every entity shown that has a `T`, ascending. The own one is among them.
    pub fn iter<T: Replicate>(&self) -> impl Iterator<Item = (NetId, T)> + 'a {
        let view = *self;
        self.entities().filter_map(move |id| Some((id, view.get::<T>(id)?)))
    }

    /// A component as it came last, ahead of what is shown.
    #[must_use]
    pub fn latest<T: Replicate>(&self, id: NetId) -> Option<T> {
        self.newest?.get(self.schema, id)
    }

    /// The tick of the newest snapshot, ahead of what is shown; `None` while there is none.
    #[must_use]
    pub fn latest_tick(&self) -> Option<Tick> {
        self.newest.map(Frame::tick)
    }

    /// Every entity of the newest snapshot that has a `T`, ascending.
    pub fn iter_latest<T: Replicate>(&self) -> impl Iterator<Item = (NetId, T)> + 'a {
        let view = *self;
        let ids = self.newest.into_iter().flat_map(Frame::entities);
        ids.filter_map(move |id| Some((id, view.latest::<T>(id)?)))
    }

    fn own_component<T: Replicate>(&self, component: ComponentId, id: NetId) -> Option<T> {
        match self.predicted {
            Some(predicted) if predicted.known && predicted.component == component => {
                Some(T::restore(&predicted.columns[..T::FIELDS.len()]))
            }
            _ => self.latest(id),
        }
    }

    fn shown<T: Replicate>(&self, component: ComponentId, id: NetId) -> Option<T> {
        let between = self.between?;
        let restore =
            |columns: &[u32]| self.schema.restore::<T>(component, columns, |id| between.base().contains(id));
        let base = between.base().columns(id, component)?;
        let (Some(from), Some(to)) = (between.from.columns(id, component), between.to.columns(id, component))
        else {
            return Some(restore(base));
        };
        if from == to || !T::INTERPOLATED || !self.one_life(component, from, to) {
            return Some(restore(base));
        }
        Some(T::interpolate(&restore(from), &restore(to), between.t))
    }

    fn one_life(&self, component: ComponentId, from: &[u32], to: &[u32]) -> bool {
        match self.predicted {
            Some(predicted) if predicted.component == component => {
                let (mut first, mut second) = ([0; COLUMNS_MAX], [0; COLUMNS_MAX]);
                let from = self.schema.local_columns(component, from, &mut first);
                let to = self.schema.local_columns(component, to, &mut second);
                (predicted.same_life)(from, to)
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Game,
        testing::{Place, Runner, columns},
    };

    fn frame(schema: &Schema, tick: u32, places: &[(u32, f32, u32)]) -> Frame {
        let mut frame = Frame::new(Tick(tick));
        for &(id, x, life) in places {
            frame.push(schema, NetId(id), |entity| entity.component(&Place { x, life }));
        }
        frame.finish();
        frame
    }

    fn same_life(from: &[u32], to: &[u32]) -> bool {
        Runner::same_life(&Place::restore(from), &Place::restore(to))
    }

    #[test]
    fn remote_entities_are_between_frames_and_the_own_one_is_predicted() {
        let schema = Schema::builder().component::<Place>().build();
        let from = frame(&schema, 10, &[(1, 0.0, 1), (2, 10.0, 1), (4, 5.0, 1), (5, 1.0, 1)]);
        let to = frame(&schema, 12, &[(1, 1.0, 1), (2, 12.0, 1), (3, 7.0, 1), (4, 40.0, 2)]);
        let mut row = [0; COLUMNS_MAX];
        row[..2].copy_from_slice(&columns(&Place { x: 3.0, life: 1 }));
        let component = schema.id_of::<Place>().unwrap();
        let mut view = WorldView {
            schema: &schema,
            between: Some(Between { from: &from, to: &to, t: 0.5 }),
            newest: Some(&to),
            own: Some(NetId(1)),
            predicted: Some(Predicted { component, columns: &row, same_life, known: true }),
            tick: Tick(20),
            time: ViewTime { tick: Tick(11), fraction: 0 },
        };
        let x = |view: &WorldView<'_>, id| {
            view.get::<Place>(NetId(id)).map(|place| (place.x * 100.0).round() / 100.0)
        };
        assert_eq!(x(&view, 1), Some(3.0), "the own one is predicted");
        assert_eq!(x(&view, 2), Some(11.0), "half way");
        assert_eq!(x(&view, 3), None, "spawned at 12, which is not shown yet");
        assert_eq!(x(&view, 4), Some(5.0), "a respawn is not blended");
        assert_eq!(x(&view, 5), Some(1.0), "despawned at 12, still shown");
        let shown: Vec<_> = view.iter::<Place>().map(|(id, _)| id.0).collect();
        assert_eq!(shown, [1, 2, 4, 5]);
        view.between = Some(Between { from: &from, to: &to, t: 1.5 });
        assert_eq!((x(&view, 2), x(&view, 3), x(&view, 5)), (Some(13.0), Some(7.0), None));
        view.predicted = Some(Predicted { known: false, ..view.predicted.unwrap() });
        assert_eq!(x(&view, 1), Some(1.0), "as it came last");
    }
}
