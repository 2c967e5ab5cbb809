//! What the README shows is what the tests run.

use crate::harness::repository;

#[test]
fn the_python_consumer_of_the_readme_is_the_one_that_is_tested() {
    let file = repository().join("README.md");
    if !file.exists() {
        return;
    }
    let readme = std::fs::read_to_string(file).unwrap();
    let example = repository().join("examples/python/consumer.py");
    let example = std::fs::read_to_string(example).unwrap();
    let blocks: Vec<&str> = readme
        .split("```python\n")
        .skip(1)
        .filter_map(|after| after.split_once("```"))
        .map(|(block, _)| block)
        .collect();
    assert!(
        blocks.contains(&example.as_str()),
        "no python block equals examples/python/consumer.py"
    );
}
