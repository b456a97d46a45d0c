//! Owns: the beta calls, counters and lists. Must never know: what is counted.

use tonic::transport::Channel;
use tonic::{Response, Status};

use super::{Sdk, SdkError};
use crate::proto::beta::sdk_client::SdkClient;
use crate::proto::beta::{
    AddListValueRequest, Counter, CounterUpdateRequest, GetCounterRequest, GetListRequest, List,
    RemoveListValueRequest, UpdateCounterRequest, UpdateListRequest,
};

impl Sdk {
    /// The counter of this name.
    pub async fn counter(&self, name: &str) -> Result<Counter, SdkError> {
        let request = GetCounterRequest { name: name.into() };
        self.beta_call("GetCounter", async |mut c| c.get_counter(request).await).await
    }

    /// Moves a counter by `difference` (negative: down); refused when it would leave 0..=capacity.
    pub async fn move_counter(&self, name: &str, difference: i64) -> Result<Counter, SdkError> {
        if difference == 0 {
            return self.counter(name).await;
        }
        self.update_counter(CounterUpdateRequest {
            name: name.into(),
            count_diff: difference,
            ..Default::default()
        })
        .await
    }

    /// Sets a counter's count.
    pub async fn set_counter_count(&self, name: &str, count: i64) -> Result<Counter, SdkError> {
        self.update_counter(CounterUpdateRequest {
            name: name.into(),
            count: Some(count),
            ..Default::default()
        })
        .await
    }

    /// Sets a counter's capacity.
    pub async fn set_counter_capacity(&self, name: &str, capacity: i64) -> Result<Counter, SdkError> {
        let capacity = Some(capacity);
        self.update_counter(CounterUpdateRequest { name: name.into(), capacity, ..Default::default() }).await
    }

    /// The list of this name.
    pub async fn list(&self, name: &str) -> Result<List, SdkError> {
        let request = GetListRequest { name: name.into() };
        self.beta_call("GetList", async |mut c| c.get_list(request).await).await
    }

    /// Appends a value; refused when it is there already or the list is full.
    pub async fn add_list_value(&self, name: &str, value: &str) -> Result<List, SdkError> {
        let request = AddListValueRequest { name: name.into(), value: value.into() };
        self.beta_call("AddListValue", async |mut c| c.add_list_value(request).await).await
    }

    /// Removes a value; refused when it is not there.
    pub async fn remove_list_value(&self, name: &str, value: &str) -> Result<List, SdkError> {
        let request = RemoveListValueRequest { name: name.into(), value: value.into() };
        self.beta_call("RemoveListValue", async |mut c| c.remove_list_value(request).await).await
    }

    /// Sets a list's capacity.
    pub async fn set_list_capacity(&self, name: &str, capacity: i64) -> Result<List, SdkError> {
        let list = List { name: name.into(), capacity, values: Vec::new() };
        self.update_list(list, "capacity").await
    }

    /// Overwrites all of a list's values.
    pub async fn set_list_values(&self, name: &str, values: Vec<String>) -> Result<List, SdkError> {
        self.update_list(List { name: name.into(), capacity: 0, values }, "values").await
    }

    async fn update_list(&self, list: List, path: &str) -> Result<List, SdkError> {
        let mask = prost_types::FieldMask { paths: vec![path.into()] };
        let request = UpdateListRequest { list: Some(list), update_mask: Some(mask) };
        self.beta_call("UpdateList", async |mut c| c.update_list(request).await).await
    }

    async fn update_counter(&self, update: CounterUpdateRequest) -> Result<Counter, SdkError> {
        let request = UpdateCounterRequest { counter_update_request: Some(update) };
        self.beta_call("UpdateCounter", async |mut c| c.update_counter(request).await).await
    }

    /// A beta call. A difference applied twice is wrong, so nothing here is tried again.
    async fn beta_call<T>(
        &self,
        call: &'static str,
        f: impl AsyncFnOnce(SdkClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, SdkError> {
        let channel = self.channel.clone();
        self.once(call, async move || f(SdkClient::new(channel)).await).await
    }
}
