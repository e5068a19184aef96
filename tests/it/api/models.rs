//! `GET /v1/models` and one model of it.

use insta::assert_json_snapshot;

use super::toy::Toy;

#[tokio::test]
async fn every_model_is_listed_with_its_cost_and_what_was_measured() {
    let toy = Toy::start().await;
    assert_json_snapshot!(toy.get("/v1/models").await.ok());
}

#[tokio::test]
async fn one_model_is_the_same_as_in_the_list() {
    let toy = Toy::start().await;
    let list = toy.get("/v1/models").await.ok();
    assert_eq!(toy.get("/v1/models/toy-16").await.ok(), list["data"][1]);
}
