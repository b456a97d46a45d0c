//! Which components exist and how wide they are: in the same order on both sides, or translated. Must never know an
//! entity.
//!
//! | what | file |
//! |---|---|
//! | a schema in bits, for those who have another version | `description.rs` |
//! | another version's columns as ours | `reading.rs` |

mod description;
mod reading;

use std::any::TypeId;
use std::borrow::Cow;
use std::sync::Arc;

use self::reading::Layout;
use crate::codec::ColumnCode;
use crate::dense::{HEAD_COLUMNS, Predict};
use crate::{Audience, COLUMNS_MAX, COMPONENTS_MAX, ComponentId, Fallback, Far, Field, NetId, Replicate};

pub use self::description::{DESCRIPTION_BYTES_MAX, NAME_BYTES_MAX, SchemaDescription};
pub use self::reading::SchemaMismatch;

/// The component types of a game, in order of registration. Cheap to clone.
///
/// A schema made by [`Schema::reading`] is another build's: it has that build's components in that build's order, and
/// knows how to make our types of them. It decodes; to write with it is a mistake.
#[derive(Debug, Clone)]
pub struct Schema {
    inner: Arc<Inner>,
}

/// Builds a [`Schema`]. Two builds of a game that register the same components in the same order have equal schemas;
/// others understand each other by the names of components and fields.
#[derive(Debug, Default)]
pub struct SchemaBuilder {
    components: Vec<Component>,
}

#[derive(Debug)]
struct Inner {
    components: Vec<Component>,
    /// Whether any of them is not for everyone.
    has_audiences: bool,
    /// One bit each: those that have a coarser column.
    coarser: u64,
    hash: u64,
}

#[derive(Debug)]
struct Component {
    /// The Rust type; `None`: another build's, which we have none for.
    local: Option<Local>,
    name: Cow<'static, str>,
    fields: Cow<'static, [Field]>,
    codes: Vec<ColumnCode>,
    /// As it is told to who is far; empty where that is the same.
    far_codes: Vec<ColumnCode>,
    predict: Option<Predict>,
    predictor: PredictorKind,
    /// Its first column in the dense codec's model.
    dense_column: usize,
}

/// What our own build knows of a component.
#[derive(Debug, Clone)]
struct Local {
    type_id: TypeId,
    name: &'static str,
    fields: &'static [Field],
    fallbacks: Vec<Fallback>,
    references: &'static [u8],
    visible: Audience,
    every: u8,
    far: Option<Far>,
    predicted: bool,
    interpolated: bool,
    predict: Option<Predict>,
    predictor: PredictorKind,
    /// How its columns are made of those that are sent; `None`: they are those.
    layout: Option<Layout>,
}

/// Which predictor the dense codec uses for a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PredictorKind {
    None,
    Linear,
    /// A function of the game's.
    Given,
}

impl Schema {
    /// An empty list to add components to.
    #[must_use]
    pub fn builder() -> SchemaBuilder {
        SchemaBuilder::default()
    }

    /// Equal on two sides exactly when they read each other's snapshots as they are: names, order, widths, grids and
    /// kinds of predictor. FNV-1a, 64 bits.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.inner.hash
    }

    /// Number of component types.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.components.len()
    }

    /// Whether no component is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.components.is_empty()
    }

    /// The place of `T`, when registered.
    #[must_use]
    pub fn id_of<T: Replicate>(&self) -> Option<ComponentId> {
        let wanted = TypeId::of::<T>();
        let is_wanted =
            |component: &Component| component.local.as_ref().is_some_and(|it| it.type_id == wanted);
        let place = self.inner.components.iter().position(is_wanted)?;
        Some(ComponentId(place as u8))
    }

    /// The columns of a component as they are sent; empty when there is none of that id.
    #[must_use]
    pub fn fields(&self, component: ComponentId) -> &[Field] {
        self.component(component).map_or(&[], |component| &component.fields)
    }

    /// The type name of a component.
    #[must_use]
    pub fn name(&self, component: ComponentId) -> Option<&str> {
        self.component(component).map(|component| component.name.as_ref())
    }

    /// Whether the component was declared `#[net(predicted)]`.
    #[must_use]
    pub fn is_predicted(&self, component: ComponentId) -> bool {
        self.local(component).is_some_and(|local| local.predicted)
    }

    /// Who may see the component.
    #[must_use]
    pub fn audience(&self, component: ComponentId) -> Audience {
        self.local(component).map_or(Audience::EVERYONE, |local| local.visible)
    }

    /// Ticks from one time that clients are told of the component to the next.
    #[must_use]
    pub fn every(&self, component: ComponentId) -> u8 {
        self.local(component).map_or(1, |local| local.every)
    }

    /// What the component says of who is far.
    #[must_use]
    pub fn far(&self, component: ComponentId) -> Option<Far> {
        self.local(component)?.far
    }

    /// The audiences that some component is only for, ascending; without everyone.
    pub fn audiences(&self) -> impl Iterator<Item = Audience> + '_ {
        let components = self.inner.components.iter().filter(|_| self.inner.has_audiences);
        let locals = move || components.clone().filter_map(|component| component.local.as_ref());
        Audience::narrow().filter(move |audience| locals().any(|local| local.visible == *audience))
    }

    /// Whether clients blend between states of the component.
    #[must_use]
    pub fn is_interpolated(&self, component: ComponentId) -> bool {
        self.local(component).is_some_and(|local| local.interpolated)
    }

    /// The component that a row of columns stands for, as sent; `id` is that of `T`. A reference to an entity for which
    /// `is_there` is false becomes `None`.
    #[must_use]
    pub fn restore<T: Replicate>(
        &self,
        id: ComponentId,
        columns: &[u32],
        is_there: impl Fn(NetId) -> bool,
    ) -> T {
        let Some(local) =
            self.local(id).filter(|local| local.layout.is_some() || !local.references.is_empty())
        else {
            return T::restore(columns);
        };
        let mut row = [0; COLUMNS_MAX];
        let row = &mut row[..local.fields.len()];
        local.translate(columns, row);
        for place in local.references {
            let place = usize::from(*place);
            if row[place] != 0 && !is_there(NetId(row[place] - 1)) {
                row[place] = 0;
            }
        }
        T::restore(row)
    }

    /// The columns of a component as our own type has them: `columns` themselves, or what they become in `row`.
    #[must_use]
    pub fn local_columns<'a>(
        &self,
        id: ComponentId,
        columns: &'a [u32],
        row: &'a mut [u32; COLUMNS_MAX],
    ) -> &'a [u32] {
        match self.local(id) {
            Some(local) if local.layout.is_some() => {
                let row = &mut row[..local.fields.len()];
                local.translate(columns, row);
                row
            }
            _ => columns,
        }
    }

    /// Whether the component's columns, as they are sent, are other ones than our own type has.
    #[must_use]
    pub fn is_translated(&self, component: ComponentId) -> bool {
        self.local(component).is_some_and(|local| local.layout.is_some())
    }

    /// The schema in the form that other builds read: what [`Control::Schema`](crate::Control::Schema) carries.
    #[must_use]
    pub fn describe(&self) -> SchemaDescription {
        SchemaDescription::of(&self.inner.components)
    }

    /// How the dense codec predicts the component.
    pub(crate) fn predict(&self, component: ComponentId) -> Option<Predict> {
        self.component(component)?.predict
    }

    /// The component's first column in the dense codec's model.
    pub(crate) fn dense_column(&self, component: ComponentId) -> usize {
        self.component(component).map_or(0, |component| component.dense_column)
    }

    /// Number of columns in the dense codec's model.
    pub(crate) fn dense_columns(&self) -> usize {
        self.inner.components.last().map_or(HEAD_COLUMNS, Component::dense_end)
    }

    pub(crate) fn has_audiences(&self) -> bool {
        self.inner.has_audiences
    }

    /// One bit for each component that has a column which is coarser from afar.
    pub(crate) fn coarser(&self) -> u64 {
        self.inner.coarser
    }

    /// The columns of a component that has a coarser one, as they are told to who is far.
    pub(crate) fn far_codes(&self, component: ComponentId) -> &[ColumnCode] {
        self.component(component).map_or(&[], |component| &component.far_codes)
    }

    pub(crate) fn codes(&self, component: ComponentId) -> &[ColumnCode] {
        self.component(component).map_or(&[], |component| &component.codes)
    }

    fn component(&self, id: ComponentId) -> Option<&Component> {
        self.inner.components.get(id.index())
    }

    fn local(&self, id: ComponentId) -> Option<&Local> {
        self.component(id)?.local.as_ref()
    }

    /// The schema of finished components; their first columns in the dense codec's model are set here.
    fn of(mut components: Vec<Component>, hash: u64) -> Self {
        let mut end = HEAD_COLUMNS;
        for component in &mut components {
            component.dense_column = end;
            end = component.dense_end();
        }
        let narrow = |local: &Local| local.visible != Audience::EVERYONE;
        let has_audiences = components.iter().filter_map(|component| component.local.as_ref()).any(narrow);
        let bits = components.iter().enumerate().map(|(at, it)| u64::from(it.is_coarser()) << at);
        let coarser = bits.fold(0, |mask, bit| mask | bit);
        Self { inner: Arc::new(Inner { components, has_audiences, coarser, hash }) }
    }
}

impl Component {
    /// One past its columns in the dense codec's model: one for whether it changed, and its own; once more for who is far,
    /// where that is another thing.
    fn dense_end(&self) -> usize {
        let times = if self.is_coarser() { 2 } else { 1 };
        self.dense_column + times * (1 + self.fields.len())
    }

    fn is_coarser(&self) -> bool {
        !self.far_codes.is_empty()
    }

    fn far_codes_of(fields: &[Field]) -> Vec<ColumnCode> {
        let any = fields.iter().any(|field| field.far_shift > 0);
        fields.iter().filter(|_| any).map(|field| ColumnCode::new(&field.far())).collect()
    }
}

impl Local {
    fn of<T: Replicate>() -> Self {
        let mut fallbacks = vec![Fallback::default(); T::FIELDS.len()];
        T::fallbacks(&mut fallbacks);
        let predictor = match T::PREDICT {
            None => PredictorKind::None,
            Some(_) if T::PREDICT_LINEAR => PredictorKind::Linear,
            Some(_) => PredictorKind::Given,
        };
        Self {
            type_id: TypeId::of::<T>(),
            name: T::NAME,
            fields: T::FIELDS,
            fallbacks,
            references: T::REFERENCES,
            visible: T::VISIBLE,
            every: T::EVERY.max(1),
            far: T::FAR.map(|far| Far { every: far.every.max(1), ..far }),
            predicted: T::PREDICTED,
            interpolated: T::INTERPOLATED,
            predict: T::PREDICT,
            predictor,
            layout: None,
        }
    }

    fn translate(&self, columns: &[u32], row: &mut [u32]) {
        match &self.layout {
            Some(layout) => layout.apply(columns, row),
            None => row.copy_from_slice(columns),
        }
    }
}

impl SchemaBuilder {
    /// Adds `T` as the next component.
    ///
    /// # Panics
    /// When `T` or another component of its name is there already, when it has too many columns or too long names
    /// ([`NAME_BYTES_MAX`]), or when there are too many components.
    #[must_use]
    pub fn component<T: Replicate>(mut self) -> Self {
        let name = T::NAME;
        assert!(self.components.len() < COMPONENTS_MAX, "a schema has at most {COMPONENTS_MAX} components");
        assert!(T::FIELDS.len() <= COLUMNS_MAX, "a component has at most {COLUMNS_MAX} columns: {name}");
        assert!(
            self.components.iter().all(|known| known.name != name),
            "registered twice: {name} (`#[net(rename = \"…\")]` gives a type another name)"
        );
        let mut names = T::FIELDS.iter().map(|field| field.name).chain([name]);
        assert!(
            names.all(|it| it.len() <= NAME_BYTES_MAX),
            "a name has at most {NAME_BYTES_MAX} bytes: {name}"
        );
        assert!(
            !T::PREDICTED || (T::VISIBLE == Audience::EVERYONE && T::EVERY <= 1),
            "a predicted component is shown to whoever is shown the entity, every tick: {name}"
        );
        let local = Local::of::<T>();
        self.components.push(Component {
            name: Cow::Borrowed(name),
            fields: Cow::Borrowed(T::FIELDS),
            codes: T::FIELDS.iter().map(ColumnCode::new).collect(),
            far_codes: Component::far_codes_of(T::FIELDS),
            predict: local.predict,
            predictor: local.predictor,
            dense_column: 0,
            local: Some(local),
        });
        self
    }

    /// The finished schema.
    ///
    /// # Panics
    /// When its description would not fit in one message ([`DESCRIPTION_BYTES_MAX`]): names are too long.
    #[must_use]
    pub fn build(self) -> Schema {
        let description = SchemaDescription::of(&self.components);
        let bytes = description.byte_len();
        assert!(
            bytes <= DESCRIPTION_BYTES_MAX,
            "a schema is described in {DESCRIPTION_BYTES_MAX} bytes, not {bytes}"
        );
        Schema::of(self.components, description.hash())
    }
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): equal on every machine, unlike the standard library's hashers.
pub(crate) struct Fnv(u64);

impl Fnv {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn text(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.byte(byte));
        // No byte of UTF-8: ends the text.
        self.byte(0xff);
    }

    pub(crate) fn number(&mut self, number: u64) {
        number.to_le_bytes().into_iter().for_each(|byte| self.byte(byte));
    }

    /// A column: its name, and what its values are.
    pub(crate) fn field(&mut self, name: &str, field: &Field) {
        self.text(name);
        self.number(u64::from(field.bits));
        self.number(field.kind as u64);
        self.number(u64::from(field.max));
        self.number(u64::from(field.min.to_bits()) << 32 | u64::from(field.step.to_bits()));
        if field.far_shift > 0 {
            self.number(u64::from(field.far_shift));
        }
    }

    pub(crate) const fn finish(self) -> u64 {
        self.0
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
}
