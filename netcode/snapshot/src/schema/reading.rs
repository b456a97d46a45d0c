//! Another build's columns as our own types: what a client does with a server that is older or newer than itself. Owns
//! which differences are borne and what stands in for what is missing; must never know how either came about.
//!
//! | difference | what becomes of it |
//! |---|---|
//! | a component that we do not have | decoded by its widths, shown to nobody |
//! | a component that the server does not have | no entity has it; refused where it is the predicted one |
//! | components or fields in another order | found by name |
//! | a field that we do not have | decoded, left out |
//! | a field that the server does not have | our `#[net(default = …)]`; refused without one |
//! | fewer values there than here, on the same grid: `bits`, a range's end, an enum's variants | as they are |
//! | more variants of an enum there than here | ours that is marked `#[net(unknown)]`; refused without one |
//! | anything else: another step, another range's beginning, another kind | refused |

use std::borrow::Cow;

use super::description::{ColumnDescription, ComponentDescription};
use super::{Component, Local, PredictorKind, Schema, SchemaDescription};
use crate::codec::ColumnCode;
use crate::{Fallback, Field, FieldKind};

/// Why two builds do not understand each other. Components and fields are named as in our own build.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum SchemaMismatch {
    /// The server does not have the component that the player's own entity is predicted by.
    #[error("server does not replicate {component}, which this client predicts")]
    NoComponent {
        /// The component.
        component: &'static str,
    },
    /// The server does not send a field, and nothing stands in for it.
    #[error("server does not send {component}.{field}, which has no `#[net(default)]` here")]
    NoField {
        /// The component.
        component: &'static str,
        /// The field (of a vector: the axis too).
        field: &'static str,
    },
    /// The server sends a field in a form that this build's values cannot be made of.
    #[error("server sends {component}.{field} as {theirs}, and here it is {ours}")]
    OtherField {
        /// The component.
        component: &'static str,
        /// The field.
        field: &'static str,
        /// Its form here.
        ours: Field,
        /// Its form there.
        theirs: Field,
    },
    /// The server's enum has variants that ours lacks, and none of ours is marked to stand for them.
    #[error(
        "server knows variants up to {theirs} of {component}.{field}, and here the last is {ours} and none is `#[net(unknown)]`"
    )]
    NewVariants {
        /// The component.
        component: &'static str,
        /// The field.
        field: &'static str,
        /// The greatest discriminant here.
        ours: u32,
        /// The greatest discriminant there.
        theirs: u32,
    },
    /// The dense codec needs the game's own predictor of a component that is not the same on both sides.
    #[error(
        "server predicts a component by a function of its own that this build lacks (of {component:?} here)"
    )]
    OtherPredictor {
        /// The component, where this build has it.
        component: Option<&'static str>,
    },
    /// The description is not that of the schema which the server named.
    #[error("server described schema {described:#x} after it had named {named:#x}")]
    OtherSchema {
        /// Hash of what it described.
        described: u64,
        /// Hash that it gave in its welcome.
        named: u64,
    },
}

/// How each of our columns is made of a row as it was sent.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    sources: Vec<Source>,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    /// Their column; what is greater than `max` becomes `unknown`.
    Column { place: u8, max: u32, unknown: u32 },
    /// Always this.
    Value(u32),
}

impl Schema {
    /// The schema that reads what a server sends whose schema is `theirs`, and makes this build's types of it. It takes the
    /// place of this one from the first snapshot on: in the receiver and in [`Frame::get`](crate::Frame::get). With equal
    /// hashes there is no need for it.
    ///
    /// ```
    /// use netcode_derive::Replicate;
    /// use netcode_snapshot::{Frame, NetId, Schema};
    /// use netcode_wire::Tick;
    ///
    /// mod server {
    ///     # use netcode_derive::Replicate;
    ///     #[derive(Replicate)]
    ///     pub struct Ship {
    ///         pub hull: u8,
    ///     }
    /// }
    ///
    /// #[derive(Replicate, Debug, PartialEq)]
    /// struct Ship {
    ///     #[net(default = 50)]
    ///     shield: u8,
    ///     hull: u8,
    /// }
    ///
    /// // The server is a version behind: it knows no shields.
    /// let theirs = Schema::builder().component::<server::Ship>().build();
    /// let mut frame = Frame::new(Tick(1));
    /// frame.push(&theirs, NetId(1), |entity| entity.component(&server::Ship { hull: 9 }));
    ///
    /// let ours = Schema::builder().component::<Ship>().build();
    /// let reading = ours.reading(&theirs.describe())?;
    /// assert_eq!(frame.get(&reading, NetId(1)), Some(Ship { shield: 50, hull: 9 }));
    /// # Ok::<(), netcode_snapshot::SchemaMismatch>(())
    /// ```
    ///
    /// # Errors
    /// See [`SchemaMismatch`]: components and fields that cannot be made of what is sent. Which differences are borne is
    /// in the table of `reading.rs` and in STANDARD.md §13.
    pub fn reading(&self, theirs: &SchemaDescription) -> Result<Self, SchemaMismatch> {
        let ours = || self.inner.components.iter().filter_map(|component| component.local.as_ref());
        let sent = |name: &str| theirs.components.iter().any(|component| component.name == name);
        if let Some(local) = ours().find(|local| local.predicted && !sent(local.name)) {
            return Err(SchemaMismatch::NoComponent { component: local.name });
        }
        let component = |theirs: &ComponentDescription| match ours().find(|local| local.name == theirs.name) {
            Some(local) => known(local, theirs),
            None => Ok(unknown(theirs)),
        };
        let components = theirs.components.iter().map(component).collect::<Result<_, _>>()?;
        Ok(Self::of(components, theirs.hash()))
    }

    /// Whether the dense codec can be read too: it needs the game's own predictors, and those need the columns that they
    /// were written for.
    ///
    /// # Errors
    /// [`SchemaMismatch::OtherPredictor`].
    pub fn check_dense(&self) -> Result<(), SchemaMismatch> {
        let lacks = |component: &&Component| {
            component.predictor == PredictorKind::Given && component.predict.is_none()
        };
        match self.inner.components.iter().find(lacks) {
            Some(component) => Err(SchemaMismatch::OtherPredictor {
                component: component.local.as_ref().map(|local| local.name),
            }),
            None => Ok(()),
        }
    }
}

impl Layout {
    pub(super) fn apply(&self, columns: &[u32], row: &mut [u32]) {
        for (value, source) in row.iter_mut().zip(&self.sources) {
            *value = match *source {
                Source::Value(value) => value,
                Source::Column { place, max, unknown } => match columns[usize::from(place)] {
                    sent if sent > max => unknown,
                    sent => sent,
                },
            };
        }
    }

    /// Whether nothing changes.
    fn is_identity(&self, theirs: &ComponentDescription) -> bool {
        let stays = |(at, source): (usize, &Source)| {
            matches!(source, Source::Column { place, max, .. }
                if usize::from(*place) == at && *max == theirs.columns[at].field.max)
        };
        self.sources.len() == theirs.columns.len() && self.sources.iter().enumerate().all(stays)
    }
}

/// A component that we do not have.
fn unknown(theirs: &ComponentDescription) -> Component {
    let fields: Vec<Field> = theirs.columns.iter().map(|column| column.field).collect();
    received(theirs, fields, None)
}

/// A component that both have.
fn known(local: &Local, theirs: &ComponentDescription) -> Result<Component, SchemaMismatch> {
    let source = |(ours, fallback)| source(local.name, ours, fallback, &theirs.columns);
    let sources = local.fields.iter().zip(&local.fallbacks).map(source).collect::<Result<_, _>>()?;
    let layout = Layout { sources };
    let named = |column: &ColumnDescription| {
        let ours = local.fields.iter().find(|ours| ours.name == column.name);
        Field { name: ours.map_or("", |ours| ours.name), ..column.field }
    };
    let fields: Vec<Field> = theirs.columns.iter().map(named).collect();
    let is_same = layout.is_identity(theirs) && fields == local.fields;
    let layout = (!is_same).then_some(layout);
    Ok(received(theirs, fields, Some(Local { layout, ..local.clone() })))
}

fn received(theirs: &ComponentDescription, fields: Vec<Field>, local: Option<Local>) -> Component {
    let given =
        local.as_ref().filter(|local| local.layout.is_none() && local.predictor == PredictorKind::Given);
    let predict = match theirs.predictor {
        PredictorKind::None => None,
        PredictorKind::Linear => Some(crate::dense::linear as crate::dense::Predict),
        PredictorKind::Given => given.and_then(|local| local.predict),
    };
    Component {
        name: Cow::Owned(theirs.name.clone()),
        codes: fields.iter().map(ColumnCode::new).collect(),
        far_codes: Component::far_codes_of(&fields),
        fields: Cow::Owned(fields),
        predict,
        predictor: theirs.predictor,
        dense_column: 0,
        local,
    }
}

/// Where the values of our column `ours` come from.
fn source(
    component: &'static str,
    ours: &Field,
    fallback: &Fallback,
    theirs: &[ColumnDescription],
) -> Result<Source, SchemaMismatch> {
    let field = ours.name;
    let Some(place) = theirs.iter().position(|column| column.name == field) else {
        return fallback.missing.map(Source::Value).ok_or(SchemaMismatch::NoField { component, field });
    };
    let sent = Field { name: field, ..theirs[place].field };
    let place = u8::try_from(place).expect("a component has at most 64 columns");
    if !one_grid(ours, &sent) {
        return Err(SchemaMismatch::OtherField { component, field, ours: *ours, theirs: sent });
    }
    if sent.max <= ours.max {
        return Ok(Source::Column { place, max: sent.max, unknown: 0 });
    }
    match (fallback.unknown, ours.kind) {
        (Some(unknown), _) => Ok(Source::Column { place, max: ours.max, unknown }),
        (None, FieldKind::Opaque) if fallback.is_enum => {
            Err(SchemaMismatch::NewVariants { component, field, ours: ours.max, theirs: sent.max })
        }
        (None, _) => Err(SchemaMismatch::OtherField { component, field, ours: *ours, theirs: sent }),
    }
}

/// Whether equal values mean the same in both.
fn one_grid(ours: &Field, theirs: &Field) -> bool {
    let grid = |field: &Field| (field.kind, field.min.to_bits(), field.step.to_bits());
    // A turn and the parts of a rotation are divided by the number of values.
    let is_divided = match ours.kind {
        FieldKind::Linear => ours.step == 0.0,
        FieldKind::Wrapping => true,
        FieldKind::Opaque => false,
    };
    grid(ours) == grid(theirs) && (!is_divided || ours.max == theirs.max)
}
