//! Circles among references.

/// A circle in the graph that has an edge from each position to those listed at it: its positions in order, each once.
/// Not recursive, so a chain may be of any length.
pub(super) fn find(references: &[Vec<usize>]) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        OnPath,
        Done,
    }
    let mut states = vec![State::New; references.len()];
    let mut path: Vec<(usize, std::slice::Iter<'_, usize>)> = Vec::new();
    for start in 0..references.len() {
        let mut next = Some(start);
        loop {
            if let Some(position) = next.take() {
                match (states.get_mut(position), references.get(position)) {
                    (Some(state @ State::New), Some(edges)) => {
                        *state = State::OnPath;
                        path.push((position, edges.iter()));
                    }
                    (Some(State::OnPath), _) => {
                        let circle = path.iter().map(|(visited, _)| *visited);
                        return Some(circle.skip_while(|visited| *visited != position).collect());
                    }
                    _ => {}
                }
            }
            let Some((position, edges)) = path.last_mut() else {
                break;
            };
            next = edges.next().copied();
            if next.is_none() {
                if let Some(state) = states.get_mut(*position) {
                    *state = State::Done;
                }
                path.pop();
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn circles_are_found_and_only_circles() {
        assert_eq!(find(&[]), None);
        assert_eq!(find(&[vec![1, 2], vec![3], vec![3, 1], vec![]]), None);
        assert_eq!(find(&[vec![0]]), Some(vec![0]));
        assert_eq!(
            find(&[vec![1], vec![2, 3], vec![], vec![4], vec![1]]),
            Some(vec![1, 3, 4])
        );
    }

    #[test]
    fn a_long_chain_does_not_exhaust_the_stack() {
        let mut chain: Vec<Vec<usize>> = (1..200_000).map(|next| vec![next]).collect();
        chain.push(vec![]);
        assert_eq!(find(&chain), None);
        chain.last_mut().unwrap().push(0);
        assert_eq!(find(&chain).map(|circle| circle.len()), Some(200_000));
    }
}
