//! Tickets of the embedded queue, kept so that a crash loses none. Owns rows; must never know what is in them.

use super::StoreError;
use super::db::{Db, args};

impl Db {
    /// Every ticket kept: id, body, state.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn kept_tickets(&self) -> Result<Vec<(String, String, String)>, StoreError> {
        let rows = self.rows("SELECT ticket_id, body, state FROM matchmaking_tickets", &[]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?, row.text(2)?))).collect()
    }

    /// Keeps a ticket, new or changed; on the disk once [`settled`](Self::tickets_settled).
    ///
    /// # Errors
    /// The engine failed.
    pub async fn keep_ticket(&self, id: &str, body: &str, state: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO matchmaking_tickets (ticket_id, body, state) VALUES ($1, $2, $3)
            ON CONFLICT (ticket_id) DO UPDATE SET body = excluded.body, state = excluded.state";
        let mut tx = self.begin().await?;
        tx.execute(sql, args![id, body, state]).await?;
        tx.commit_soon().await
    }

    /// Changes tickets' states, all in one transaction; `None`: the ticket is over and goes. On the disk once
    /// [`settled`](Self::tickets_settled).
    ///
    /// # Errors
    /// The engine failed: nothing has changed.
    pub async fn shift_tickets(&self, tickets: &[(String, Option<String>)]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for (id, state) in tickets {
            if let Some(state) = state {
                let sql = "UPDATE matchmaking_tickets SET state = $2 WHERE ticket_id = $1";
                tx.execute(sql, args![id.as_str(), state.as_str()]).await?;
            } else {
                tx.execute("DELETE FROM matchmaking_tickets WHERE ticket_id = $1", args![id.as_str()])
                    .await?;
            }
        }
        tx.commit_soon().await
    }

    /// Waits until all changes so far are on the disk, together with everybody else who waits.
    ///
    /// # Errors
    /// The engine failed: nobody knows what is on the disk.
    pub async fn tickets_settled(&self) -> Result<(), StoreError> {
        self.settle().await
    }
}
