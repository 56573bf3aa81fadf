//! A secret in the Secrets Manager of the local stack.

use aws_sdk_secretsmanager::Client;
use serde_json::Value;
use uuid::Uuid;

pub(crate) struct Secret {
    pub(crate) arn: String,
    client: Client,
}

impl Secret {
    pub(crate) async fn new(value: &Value) -> Self {
        let client = Client::new(&granary_environment::aws::sdk_config().await);
        let name = format!("granary-test-{}", Uuid::now_v7());
        let created = client.create_secret().name(name).secret_string(value.to_string());
        let arn = created.send().await.unwrap().arn.unwrap();
        Self { arn, client }
    }

    /// The new value is the current version, and the one before it the previous one.
    pub(crate) async fn rotate(&self, value: &Value) {
        let put = self.client.put_secret_value().secret_id(&self.arn);
        put.secret_string(value.to_string()).send().await.unwrap();
    }

    pub(crate) async fn forget(self) {
        let deleted = self.client.delete_secret().secret_id(&self.arn);
        deleted.force_delete_without_recovery(true).send().await.unwrap();
    }
}
