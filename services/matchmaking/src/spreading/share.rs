//! How many of the queues are a worker's.

use uuid::Uuid;

/// How many of so many queues a worker should have, among those who are alive; it counts as one of them.
///
/// The shares sum up to all queues. Ids of workers sort by their start, and what cannot be shared evenly goes to those who
/// have been there longest: who comes does not take from who has just enough.
#[must_use]
pub fn share(queues: usize, alive: &[Uuid], worker: Uuid) -> usize {
    let others = alive.iter().filter(|other| **other != worker);
    let (count, elder) = others.fold((1, 0), |(count, elder), other| (count + 1, elder + usize::from(*other < worker)));
    queues / count + usize::from(elder < queues % count)
}

/// At which place of a list with so many free queues a worker begins to take: workers who come at the same time begin at
/// different ones.
#[must_use]
pub fn first_choice(queues: usize, alive: &[Uuid], worker: Uuid) -> usize {
    let elder = alive.iter().filter(|other| **other < worker).count();
    let count = alive.iter().filter(|other| **other != worker).count() + 1;
    queues * elder / count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_are_fair_and_sum_up_to_all(queues in 0_usize..200, workers in 1_usize..9) {
            let alive: Vec<Uuid> = (0..workers as u128).map(Uuid::from_u128).collect();
            let shares: Vec<usize> = alive.iter().map(|worker| share(queues, &alive, *worker)).collect();
            prop_assert_eq!(shares.iter().sum::<usize>(), queues);
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{:?}", shares);
            for worker in &alive {
                prop_assert!(first_choice(queues, &alive, *worker) <= queues);
            }
        }
    }

    #[test]
    fn who_comes_does_not_take_the_only_queue() {
        let (elder, younger) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!((share(1, &[elder, younger], elder), share(1, &[elder, younger], younger)), (1, 0));
        assert_eq!(share(1, &[younger], younger), 1);
    }

    #[test]
    fn a_worker_counts_itself_even_if_the_store_does_not() {
        assert_eq!(share(3, &[], Uuid::from_u128(1)), 3);
    }
}
