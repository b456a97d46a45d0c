//! Which components exist and how wide they are: the same list, in the same order, on both sides. Must never
//! know an entity.

use std::any::TypeId;
use std::sync::Arc;

use crate::codec::ColumnCode;
use crate::dense::{HEAD_COLUMNS, Predict};
use crate::{COLUMNS_MAX, COMPONENTS_MAX, ComponentId, Field, FieldKind, Replicate};

/// The component types of a game, in order of registration. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Schema {
    inner: Arc<Inner>,
}

/// Builds a [`Schema`]; order is identity, so both sides must register alike.
#[derive(Debug, Default)]
pub struct SchemaBuilder {
    components: Vec<Component>,
}

#[derive(Debug)]
struct Inner {
    components: Vec<Component>,
    hash: u64,
}

#[derive(Debug)]
struct Component {
    type_id: TypeId,
    name: &'static str,
    fields: &'static [Field],
    codes: Vec<ColumnCode>,
    predicted: bool,
    interpolated: bool,
    predict: Option<Predict>,
    /// Its first column in the dense codec's model.
    dense_column: usize,
}

impl Schema {
    /// An empty list to add components to.
    #[must_use]
    pub fn builder() -> SchemaBuilder {
        SchemaBuilder::default()
    }

    /// Equal on two sides exactly when they read each other's snapshots: names, order, widths and grids.
    /// FNV-1a, 64 bits.
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
        let place = self.inner.components.iter().position(|component| component.type_id == wanted)?;
        Some(ComponentId(place as u8))
    }

    /// The columns of a component; empty when there is none of that id.
    #[must_use]
    pub fn fields(&self, component: ComponentId) -> &'static [Field] {
        self.inner.components.get(component.index()).map_or(&[], |component| component.fields)
    }

    /// The type name of a component.
    #[must_use]
    pub fn name(&self, component: ComponentId) -> Option<&'static str> {
        self.inner.components.get(component.index()).map(|component| component.name)
    }

    /// Whether the component was declared `#[net(predicted)]`.
    #[must_use]
    pub fn is_predicted(&self, component: ComponentId) -> bool {
        self.inner.components.get(component.index()).is_some_and(|component| component.predicted)
    }

    /// Whether clients blend between states of the component.
    #[must_use]
    pub fn is_interpolated(&self, component: ComponentId) -> bool {
        self.inner.components.get(component.index()).is_some_and(|component| component.interpolated)
    }

    /// How the dense codec predicts the component.
    pub(crate) fn predict(&self, component: ComponentId) -> Option<Predict> {
        self.inner.components.get(component.index())?.predict
    }

    /// The component's first column in the dense codec's model.
    pub(crate) fn dense_column(&self, component: ComponentId) -> usize {
        self.inner.components.get(component.index()).map_or(0, |component| component.dense_column)
    }

    /// Number of columns in the dense codec's model.
    pub(crate) fn dense_columns(&self) -> usize {
        self.inner.components.last().map_or(HEAD_COLUMNS, Component::dense_end)
    }

    pub(crate) fn codes(&self, component: ComponentId) -> &[ColumnCode] {
        self.inner.components.get(component.index()).map_or(&[], |component| &component.codes)
    }
}

impl Component {
    /// One past its columns in the dense codec's model: one for whether it changed, and its own.
    fn dense_end(&self) -> usize {
        self.dense_column + 1 + self.fields.len()
    }
}

impl SchemaBuilder {
    /// Adds `T` as the next component.
    ///
    /// # Panics
    /// When `T` is there already, has too many columns, or there are too many components.
    #[must_use]
    pub fn component<T: Replicate>(mut self) -> Self {
        let type_id = TypeId::of::<T>();
        assert!(self.components.len() < COMPONENTS_MAX, "a schema has at most {COMPONENTS_MAX} components");
        assert!(T::FIELDS.len() <= COLUMNS_MAX, "a component has at most {COLUMNS_MAX} columns: {}", T::NAME);
        assert!(
            self.components.iter().all(|known| known.type_id != type_id),
            "registered twice: {}",
            T::NAME
        );
        self.components.push(Component {
            type_id,
            name: T::NAME,
            fields: T::FIELDS,
            codes: T::FIELDS.iter().map(ColumnCode::new).collect(),
            predicted: T::PREDICTED,
            interpolated: T::INTERPOLATED,
            predict: T::PREDICT,
            dense_column: self.components.last().map_or(HEAD_COLUMNS, Component::dense_end),
        });
        self
    }

    /// The finished schema.
    #[must_use]
    pub fn build(self) -> Schema {
        let hash = hash_of(&self.components);
        Schema { inner: Arc::new(Inner { components: self.components, hash }) }
    }
}

fn hash_of(components: &[Component]) -> u64 {
    let mut hash = Fnv::new();
    for component in components {
        hash.text(component.name);
        hash.number(component.fields.len() as u64);
        for field in component.fields {
            hash.text(field.name);
            hash.number(u64::from(field.bits));
            hash.number(match field.kind {
                FieldKind::Linear => 0,
                FieldKind::Wrapping => 1,
                FieldKind::Opaque => 2,
            });
            hash.number(u64::from(field.max));
            hash.number(u64::from(field.min.to_bits()) << 32 | u64::from(field.step.to_bits()));
        }
    }
    hash.finish()
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

    pub(crate) const fn finish(self) -> u64 {
        self.0
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
}
