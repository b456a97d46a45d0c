//! Players' states as rows: a document, and who may write it. Whose word counts is not known here.

use super::StoreError;
use super::db::{Db, Row, args};
use crate::clock::UnixMs;
use crate::ids::PlayerId;

/// One state of one player.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRow {
    /// Grows with every new holder; 0: nobody has opened it yet.
    pub fence: u64,
    /// Who opened it last.
    pub holder: String,
    /// That one has let go.
    pub released: bool,
    /// The number of that one's last save.
    pub sequence: u64,
    /// The game's version of the document.
    pub version: u32,
    /// A JSON object; `None`: nothing was saved yet.
    pub document: Option<String>,
    /// When it was saved.
    pub saved: UnixMs,
}

impl Default for StateRow {
    /// Before it is opened for the first time.
    fn default() -> Self {
        Self {
            fence: 0,
            holder: String::new(),
            released: true,
            sequence: 0,
            version: 0,
            document: None,
            saved: UnixMs(0),
        }
    }
}

macro_rules! columns {
    () => {
        "fence, holder, released, sequence, version, document, saved_unix_ms"
    };
}

impl Db {
    /// The state of this name; `None`: no game has opened it.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn state(&self, player: PlayerId, name: &str) -> Result<Option<StateRow>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM player_states WHERE player_id = $1 AND name = $2");
        self.row(sql, args![player, name]).await?.as_ref().map(read).transpose()
    }

    /// Changes a state while nobody else can: `decide` sees it as it is and says how it is to be, if otherwise, and what to
    /// tell the caller. `None`: there is no such player.
    ///
    /// # Errors
    /// The engine failed; nothing was changed.
    pub async fn change_state<T>(
        &self,
        player: PlayerId,
        name: &str,
        decide: impl FnOnce(&StateRow) -> (Option<StateRow>, T),
    ) -> Result<Option<T>, StoreError> {
        let mut tx = self.begin().await?;
        if tx.row("SELECT 1 FROM accounts WHERE player_id = $1", args![player]).await?.is_none() {
            return Ok(None);
        }
        // The update changes nothing but takes the row's lock.
        let sql = concat!(
            "INSERT INTO player_states (player_id, name, fence, holder, released, sequence, version, saved_unix_ms)
            VALUES ($1, $2, 0, '', 1, 0, 0, 0)
            ON CONFLICT (player_id, name) DO UPDATE SET fence = player_states.fence RETURNING ",
            columns!()
        );
        let row = tx.row(sql, args![player, name]).await?.ok_or(StoreError::Malformed("state"))?;
        let before = read(&row)?;
        let (after, told) = decide(&before);
        let Some(after) = after else { return Ok(Some(told)) };
        let sql = "UPDATE player_states SET fence = $3, holder = $4, released = $5, sequence = $6
            WHERE player_id = $1 AND name = $2";
        let (fence, sequence) = (int(after.fence)?, int(after.sequence)?);
        let released = i64::from(after.released);
        tx.execute(sql, args![player, name, fence, after.holder, released, sequence]).await?;
        let said = after.saved != before.saved || after.document != before.document;
        if let Some(document) = after.document.filter(|_| said) {
            let sql = "UPDATE player_states SET version = $3, document = $4, saved_unix_ms = $5
                WHERE player_id = $1 AND name = $2";
            tx.execute(sql, args![player, name, i64::from(after.version), document, after.saved]).await?;
        }
        tx.commit().await?;
        Ok(Some(told))
    }
}

fn read(row: &Row) -> Result<StateRow, StoreError> {
    let number = |column| u64::try_from(row.int(column)?).map_err(|_| StoreError::Malformed("state"));
    Ok(StateRow {
        fence: number(0)?,
        holder: row.text(1)?,
        released: row.int(2)? != 0,
        sequence: number(3)?,
        version: u32::try_from(row.int(4)?).map_err(|_| StoreError::Malformed("state"))?,
        document: row.text_or_null(5)?,
        saved: UnixMs(row.int(6)?),
    })
}

fn int(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Malformed("state"))
}
