use super::harness::*;

#[test]
fn hello() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a b a");
    assert_eq!(bench.pull(1), "0 1");
    assert!(bench.ack("0 1").is_empty());
    bench.pass(seconds(1));
    assert_eq!(bench.lines("commit"), ["commit 0@2"]);
    assert_eq!(bench.pull(1), "2");
}
