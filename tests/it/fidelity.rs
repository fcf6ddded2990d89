//! Through the relay and direct are the same, byte for byte.

use relay_tests::journey::Journey;
use relay_tests::target::Target;

#[tokio::test]
async fn a_webhook_goes_in_through_the_firewall_and_its_answer_comes_back() {
    let journey = Journey::to(Target::echo().await).await;
    let answer = journey.through().post("/sub?q=1", "hello").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
    let seen = journey.target.only();
    assert_eq!((seen.method().as_str(), seen.path()), ("POST", &b"/sub?q=1"[..]));
}
