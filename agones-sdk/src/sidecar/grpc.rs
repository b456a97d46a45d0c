//! Owns: the SDK's three gRPC services over the shared model. Must never know: a rule.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use super::refusal::Refusal;
use super::shared::{Shared, unix_now};
use super::{capacity, conformance, players};
use crate::proto::alpha::sdk_server::{Sdk as AlphaSdk, SdkServer as AlphaServer};
use crate::proto::beta::sdk_server::{Sdk as BetaSdk, SdkServer as BetaServer};
use crate::proto::sdk::sdk_server::{Sdk as StableSdk, SdkServer as StableServer};
use crate::proto::sdk::{Duration, Empty, GameServer, KeyValue};
use crate::proto::{alpha, beta};
use crate::state::State;

type Reply<T> = Result<Response<T>, Status>;

/// Serves until the sidecar stops.
pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let stopped = shared.stopped();
    let service = Service { shared };
    let served = Server::builder()
        .add_service(StableServer::new(service.clone()))
        .add_service(BetaServer::new(service.clone()))
        .add_service(AlphaServer::new(service))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stopped)
        .await;
    if let Err(error) = served {
        tracing::warn!(%error, "sidecar's gRPC server ended");
    }
}

#[derive(Clone)]
struct Service {
    shared: Arc<Shared>,
}

impl Service {
    fn refuse(&self, refusal: &Refusal) -> Status {
        refusal.status(self.shared.strict_errors)
    }

    fn capacity_call<T>(
        &self,
        rule: impl FnOnce(&mut crate::proto::sdk::game_server::Status, i64) -> Result<T, Refusal>,
    ) -> Reply<T> {
        self.shared.capacity_call(rule).map(Response::new).map_err(|refusal| self.refuse(&refusal))
    }

    fn players_call<T>(
        &self,
        call: &'static str,
        id: &str,
        rule: impl FnOnce(&mut crate::proto::sdk::game_server::Status) -> Result<T, Refusal>,
    ) -> Result<T, Status> {
        self.shared.players_call(call, id, rule).map_err(|refusal| self.refuse(&refusal))
    }
}

#[tonic::async_trait]
impl StableSdk for Service {
    async fn ready(&self, _: Request<Empty>) -> Reply<Empty> {
        self.shared.note("ready");
        self.shared.change(|model, _| model.set_state(State::Ready));
        Ok(Response::new(Empty {}))
    }

    async fn allocate(&self, _: Request<Empty>) -> Reply<Empty> {
        self.shared.note("allocate");
        self.shared.change(|model, _| model.allocate(unix_now()));
        Ok(Response::new(Empty {}))
    }

    async fn shutdown(&self, _: Request<Empty>) -> Reply<Empty> {
        self.shared.note("shutdown");
        self.shared.change(|model, _| model.set_state(State::Shutdown));
        Ok(Response::new(Empty {}))
    }

    async fn health(&self, request: Request<Streaming<Empty>>) -> Reply<Empty> {
        let mut pings = request.into_inner();
        let stopped = self.shared.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                ping = pings.message() => match ping? {
                    Some(Empty {}) => {
                        self.shared.note("health");
                        self.shared.change(|model, _| model.handle_ping());
                    }
                    None => return Ok(Response::new(Empty {})),
                },
                () = &mut stopped => return Err(Status::unavailable("sidecar is stopping")),
            }
        }
    }

    async fn get_game_server(&self, _: Request<Empty>) -> Reply<GameServer> {
        self.shared.note("gameserver");
        Ok(Response::new(GameServer::clone(&self.shared.current())))
    }

    type WatchGameServerStream = Pin<Box<dyn Stream<Item = Result<GameServer, Status>> + Send>>;

    async fn watch_game_server(&self, _: Request<Empty>) -> Reply<Self::WatchGameServerStream> {
        self.shared.note("watch");
        let versions = WatchStream::new(self.shared.subscribe());
        let versions = versions.map(|server| Ok(GameServer::clone(&server)));
        Ok(Response::new(versions.take_until(self.shared.stopped()).boxed()))
    }

    async fn set_label(&self, request: Request<KeyValue>) -> Reply<Empty> {
        let KeyValue { key, value } = request.into_inner();
        self.shared.note_metadata("setlabel", &value);
        let set = self.shared.change(|model, _| model.set_label(&key, &value));
        set.map(|()| Response::new(Empty {})).map_err(|refusal| self.refuse(&refusal))
    }

    async fn set_annotation(&self, request: Request<KeyValue>) -> Reply<Empty> {
        let KeyValue { key, value } = request.into_inner();
        self.shared.note_metadata("setannotation", &value);
        let set = self.shared.change(|model, _| model.set_annotation(&key, &value));
        set.map(|()| Response::new(Empty {})).map_err(|refusal| self.refuse(&refusal))
    }

    async fn reserve(&self, request: Request<Duration>) -> Reply<Empty> {
        self.shared.note("reserve");
        let seconds = request.into_inner().seconds;
        let reserved = self.shared.change(|model, now| model.reserve(seconds, now));
        reserved.map(|()| Response::new(Empty {})).map_err(|refusal| self.refuse(&refusal))
    }
}

#[tonic::async_trait]
impl BetaSdk for Service {
    async fn get_counter(&self, request: Request<beta::GetCounterRequest>) -> Reply<beta::Counter> {
        self.shared.note("getcounter");
        let name = request.into_inner().name;
        self.capacity_call(|status, _| capacity::counter(status, &name))
    }

    async fn update_counter(&self, request: Request<beta::UpdateCounterRequest>) -> Reply<beta::Counter> {
        let Some(update) = request.into_inner().counter_update_request else {
            return Err(self.refuse(&Refusal::Invalid("CounterUpdateRequest cannot be nil".into())));
        };
        conformance::of_update(&update).for_each(|call| self.shared.note(call));
        self.capacity_call(|status, _| capacity::update_counter(status, &update))
    }

    async fn get_list(&self, request: Request<beta::GetListRequest>) -> Reply<beta::List> {
        self.shared.note("getlist");
        let name = request.into_inner().name;
        self.capacity_call(|status, _| capacity::list(status, &name))
    }

    async fn update_list(&self, request: Request<beta::UpdateListRequest>) -> Reply<beta::List> {
        let beta::UpdateListRequest { list: Some(list), update_mask: Some(mask) } = request.into_inner()
        else {
            return Err(self.refuse(&Refusal::Invalid("List and UpdateMask cannot be nil".into())));
        };
        self.shared.note("updatelist");
        self.capacity_call(|status, max| capacity::update_list(status, &list, &mask.paths, max))
    }

    async fn add_list_value(&self, request: Request<beta::AddListValueRequest>) -> Reply<beta::List> {
        self.shared.note("addlistvalue");
        let beta::AddListValueRequest { name, value } = request.into_inner();
        self.capacity_call(|status, _| capacity::add_list_value(status, &name, &value))
    }

    async fn remove_list_value(&self, request: Request<beta::RemoveListValueRequest>) -> Reply<beta::List> {
        self.shared.note("removelistvalue");
        let beta::RemoveListValueRequest { name, value } = request.into_inner();
        self.capacity_call(|status, _| capacity::remove_list_value(status, &name, &value))
    }
}

#[tonic::async_trait]
impl AlphaSdk for Service {
    async fn player_connect(&self, request: Request<alpha::PlayerId>) -> Reply<alpha::Bool> {
        let id = request.into_inner().player_id;
        let came = self.players_call("playerconnect", &id, |status| players::connect(status, &id))?;
        Ok(Response::new(alpha::Bool { bool: came }))
    }

    async fn player_disconnect(&self, request: Request<alpha::PlayerId>) -> Reply<alpha::Bool> {
        let id = request.into_inner().player_id;
        let left =
            self.players_call("playerdisconnect", &id, |status| Ok(players::disconnect(status, &id)))?;
        Ok(Response::new(alpha::Bool { bool: left }))
    }

    async fn set_player_capacity(&self, request: Request<alpha::Count>) -> Reply<alpha::Empty> {
        let count = request.into_inner().count;
        self.players_call("setplayercapacity", "", |status| players::set_capacity(status, count))?;
        Ok(Response::new(alpha::Empty {}))
    }

    async fn get_player_capacity(&self, _: Request<alpha::Empty>) -> Reply<alpha::Count> {
        let players = self.players_call("getplayercapacity", "", |status| Ok(players::of(status)))?;
        Ok(Response::new(alpha::Count { count: players.capacity }))
    }

    async fn get_player_count(&self, _: Request<alpha::Empty>) -> Reply<alpha::Count> {
        let players = self.players_call("getplayercount", "", |status| Ok(players::of(status)))?;
        Ok(Response::new(alpha::Count { count: players.count }))
    }

    async fn is_player_connected(&self, request: Request<alpha::PlayerId>) -> Reply<alpha::Bool> {
        let id = request.into_inner().player_id;
        let players = self.players_call("isplayerconnected", &id, |status| Ok(players::of(status)))?;
        Ok(Response::new(alpha::Bool { bool: players::is_here(&players, &id) }))
    }

    async fn get_connected_players(&self, _: Request<alpha::Empty>) -> Reply<alpha::PlayerIdList> {
        let players = self.players_call("getconnectedplayers", "", |status| Ok(players::of(status)))?;
        Ok(Response::new(alpha::PlayerIdList { list: players.ids }))
    }
}
