//! The gRPC service of sanctions: operators decide, game servers are told. Parse, call, render.

use std::time::Duration;

use backend_proto::players_v1::sanction::Kind as Told;
use backend_proto::players_v1::{
    BanRequest, KickRequest, ListSanctionsReply, ListSanctionsRequest, ListSuspicionsReply,
    ListSuspicionsRequest, NewsReply, NewsRequest, PlayerSuspicion, Sanction, SanctionReply, UnbanRequest,
};
use backend_proto::{Sanctions, SanctionsServer};
use tokio::sync::watch;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

use super::hub::Hub;
use super::rules::{self, Kind};
use crate::clock::UnixMs;
use crate::ids::PlayerId;
use crate::matches::rpc::Guard;
use crate::matchmaking::Matchmaker;
use crate::store::{Db, SanctionRow, StoreError, SuspicionRow};

/// The longest wait; less than the deadline of a call.
const WAIT_MS_MAX: u32 = 8000;
/// Sanctions in one list.
const LIST_MAX: u32 = 100;

/// Decides and tells.
pub struct SanctionService {
    hub: Hub,
    db: Db,
    matchmaker: Matchmaker,
    draining: watch::Receiver<bool>,
}

/// The service behind its guard.
pub fn service(
    hub: Hub,
    db: Db,
    matchmaker: Matchmaker,
    guard: Guard,
    draining: watch::Receiver<bool>,
) -> InterceptedService<SanctionsServer<SanctionService>, Guard> {
    InterceptedService::new(SanctionsServer::new(SanctionService { hub, db, matchmaker, draining }), guard)
}

#[tonic::async_trait]
impl Sanctions for SanctionService {
    async fn news(&self, request: Request<NewsRequest>) -> Result<Response<NewsReply>, Status> {
        let NewsRequest { after, wait_ms } = request.into_inner();
        if wait_ms > WAIT_MS_MAX {
            return Err(Status::invalid_argument(format!("wait_ms must be 0 to {WAIT_MS_MAX}")));
        }
        let wait = Duration::from_millis(wait_ms.into());
        let news = self.hub.news(after, wait, self.draining.clone()).await;
        let (rows, last) = news.map_err(|error| failed(&error))?;
        Ok(Response::new(NewsReply { sanctions: rows.into_iter().map(render).collect(), last }))
    }

    async fn ban(&self, request: Request<BanRequest>) -> Result<Response<SanctionReply>, Status> {
        let BanRequest { player_id, until_unix_ms, reason, actor } = request.into_inner();
        let until = (until_unix_ms != 0).then_some(UnixMs(until_unix_ms));
        let decided = self.decide(player_id, Kind::Ban(until), &reason, &actor).await?;
        // The ban stands; a ticket that is not dropped now is found when its match is made.
        if let Some(player) = PlayerId::new(player_id)
            && let Err(error) = self.matchmaker.drop_tickets_of(player).await
        {
            tracing::warn!(%player, %error, "a banned player's ticket is not dropped yet");
        }
        Ok(decided)
    }

    async fn unban(&self, request: Request<UnbanRequest>) -> Result<Response<SanctionReply>, Status> {
        let UnbanRequest { player_id, reason, actor } = request.into_inner();
        self.decide(player_id, Kind::Unban, &reason, &actor).await
    }

    async fn kick(&self, request: Request<KickRequest>) -> Result<Response<SanctionReply>, Status> {
        let KickRequest { player_id, reason, actor } = request.into_inner();
        self.decide(player_id, Kind::Kick, &reason, &actor).await
    }

    async fn list_sanctions(
        &self,
        request: Request<ListSanctionsRequest>,
    ) -> Result<Response<ListSanctionsReply>, Status> {
        let ListSanctionsRequest { player_id, limit } = request.into_inner();
        let (player, limit) = (player(player_id)?, most(limit)?);
        let rows = self.db.sanctions_of(player, limit).await.map_err(|error| failed(&error))?;
        let ban = self.db.ban_of(player).await.map_err(|error| failed(&error))?;
        let ban = rules::ban_now(ban, UnixMs::now());
        Ok(Response::new(ListSanctionsReply {
            sanctions: rows.into_iter().map(render).collect(),
            banned: ban.is_some(),
            banned_until_unix_ms: ban.and_then(|ban| ban.until).map_or(0, |until| until.0),
        }))
    }

    async fn list_suspicions(
        &self,
        request: Request<ListSuspicionsRequest>,
    ) -> Result<Response<ListSuspicionsReply>, Status> {
        let ListSuspicionsRequest { player_id, limit } = request.into_inner();
        let whose = if player_id == 0 { None } else { Some(player(player_id)?) };
        let rows = self.db.suspicions(whose, most(limit)?).await.map_err(|error| failed(&error))?;
        let told = |row: SuspicionRow| PlayerSuspicion {
            player_id: row.player,
            match_id: row.match_id,
            kind: row.kind,
            count: row.count,
            at_unix_ms: row.at.0,
        };
        Ok(Response::new(ListSuspicionsReply { suspicions: rows.into_iter().map(told).collect() }))
    }
}

impl SanctionService {
    async fn decide(
        &self,
        player_id: u64,
        kind: Kind,
        reason: &str,
        actor: &str,
    ) -> Result<Response<SanctionReply>, Status> {
        let player = player(player_id)?;
        rules::check(kind, reason, actor, UnixMs::now())
            .map_err(|fault| Status::invalid_argument(fault.to_string()))?;
        let number = self.hub.decide(player, kind, reason, actor).await.map_err(|error| failed(&error))?;
        let number = number.ok_or_else(|| Status::not_found("there is no such player"))?;
        Ok(Response::new(SanctionReply { number }))
    }
}

fn most(limit: u32) -> Result<i64, Status> {
    match limit {
        0 => Ok(LIST_MAX.into()),
        limit if limit <= LIST_MAX => Ok(limit.into()),
        _ => Err(Status::invalid_argument(format!("limit must be 0 to {LIST_MAX}"))),
    }
}

fn render(row: SanctionRow) -> Sanction {
    let kind = match row.kind.as_str() {
        "kick" => Told::Kick,
        "ban" => Told::Ban,
        "unban" => Told::Unban,
        _ => Told::Unknown,
    };
    Sanction {
        number: row.number,
        player_id: row.player,
        kind: kind.into(),
        until_unix_ms: row.until.map_or(0, |until| until.0),
        reason: row.reason,
        actor: row.actor,
        at_unix_ms: row.at.0,
    }
}

fn player(id: u64) -> Result<PlayerId, Status> {
    PlayerId::new(id).ok_or_else(|| Status::invalid_argument(format!("player_id {id} is not a player's")))
}

fn failed(error: &StoreError) -> Status {
    tracing::error!(%error, "store failed");
    Status::unavailable("the store cannot be reached; try again")
}
