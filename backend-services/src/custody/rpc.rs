//! The gRPC service for game servers: opens and saves players' states. Parse, call, render.

use backend_proto::players_v1::{OpenReply, OpenRequest, SaveReply, SaveRequest, open_reply, save_reply};
use backend_proto::{Custody, CustodyServer};
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

use super::rules::{self, Saved, Saving, StateFault};
use crate::clock::UnixMs;
use crate::ids::PlayerId;
use crate::matches::rpc::Guard;
use crate::store::{StoreError, Stores};

/// The largest document, and its envelope.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Keeps players' states.
pub struct CustodyService {
    stores: Stores,
}

/// The service behind its guard.
pub fn service(stores: Stores, guard: Guard) -> InterceptedService<CustodyServer<CustodyService>, Guard> {
    let service = CustodyServer::new(CustodyService { stores });
    InterceptedService::new(service.max_decoding_message_size(MESSAGE_BYTES_MAX), guard)
}

#[tonic::async_trait]
impl Custody for CustodyService {
    async fn open(&self, request: Request<OpenRequest>) -> Result<Response<OpenReply>, Status> {
        let OpenRequest { player_id, name, holder, force } = request.into_inner();
        let player = player(player_id)?;
        rules::check_name(&name).and_then(|()| rules::check_holder(&holder)).map_err(senseless)?;
        let decide = |row: &_| {
            let opened = rules::open(row, &holder, force);
            (opened.clone(), (opened, row.clone()))
        };
        let changed = self.stores.db.change_state(player, &name, decide).await.map_err(|e| failed(&e))?;
        let (opened, before) = changed.ok_or_else(|| Status::not_found("there is no such player"))?;
        let Some(row) = opened else {
            return Ok(Response::new(OpenReply {
                fate: open_reply::Fate::Held.into(),
                ..OpenReply::default()
            }));
        };
        if !before.released && before.fence < row.fence {
            tracing::warn!(%player, name, holder, from = before.holder, "player state taken from its holder");
            metrics::counter!("player_states_taken_total").increment(1);
        }
        Ok(Response::new(OpenReply {
            fate: open_reply::Fate::Opened.into(),
            fence: row.fence,
            sequence: row.sequence,
            document: row.document,
            version: row.version,
            saved_unix_ms: row.saved.0,
        }))
    }

    async fn save(&self, request: Request<SaveRequest>) -> Result<Response<SaveReply>, Status> {
        let SaveRequest { player_id, name, fence, sequence, document, version, release } =
            request.into_inner();
        let player = player(player_id)?;
        rules::check_name(&name).map_err(senseless)?;
        let saving = Saving { fence, sequence, document, version, release, now: UnixMs::now() };
        rules::check_save(&saving).map_err(senseless)?;
        let decide = |row: &_| {
            let (fate, row) = rules::save(row, &saving);
            (row, fate)
        };
        let changed = self.stores.db.change_state(player, &name, decide).await.map_err(|e| failed(&e))?;
        let fate = match changed.ok_or_else(|| Status::not_found("there is no such player"))? {
            Saved::Saved => save_reply::Fate::Saved,
            Saved::Duplicate => save_reply::Fate::Duplicate,
            Saved::Stale => {
                tracing::warn!(%player, name, fence, "late word on a player's state");
                save_reply::Fate::Stale
            }
        };
        metrics::counter!("player_states_saved_total", "fate" => fate.as_str_name()).increment(1);
        Ok(Response::new(SaveReply { fate: fate.into() }))
    }
}

fn player(id: u64) -> Result<PlayerId, Status> {
    PlayerId::new(id).ok_or_else(|| Status::invalid_argument(format!("player_id {id} is not a player's")))
}

fn senseless(fault: StateFault) -> Status {
    Status::invalid_argument(fault.to_string())
}

fn failed(error: &StoreError) -> Status {
    tracing::error!(%error, "store failed");
    Status::unavailable("the store cannot be reached; try again")
}
