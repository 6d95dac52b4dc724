use super::*;

fn confirm(window: &mut Window, tag: u64, multiple: bool) -> Result<Vec<u64>, Unexpected> {
    let mut times = Vec::new();
    window.confirmed(tag, multiple, |at| times.push(at))?;
    Ok(times)
}

#[test]
fn multiple_skips_what_was_confirmed_alone() {
    let mut window = Window::new(4);
    (10..14).for_each(|at| window.sent(at));
    assert_eq!(window.free(), 0);
    assert_eq!(confirm(&mut window, 3, false), Ok(vec![12]));
    assert_eq!(confirm(&mut window, 4, true), Ok(vec![10, 11, 13]));
    assert_eq!((window.free(), window.in_flight()), (4, 0));
}

#[test]
fn a_late_first_confirm_bounds_the_ring() {
    let mut window = Window::new(2);
    window.sent(0);
    for tag in 2..=4 {
        window.sent(tag);
        assert_eq!(confirm(&mut window, tag, false), Ok(vec![tag]));
    }
    assert_eq!(window.free(), 0, "slot of tag 1 would be overwritten");
    assert_eq!(confirm(&mut window, 1, false), Ok(vec![0]));
    assert_eq!(window.free(), 2);
}

#[test]
fn zero_multiple_settles_all_and_strangers_are_refused() {
    let mut window = Window::new(8);
    (1..4).for_each(|at| window.sent(at));
    assert!(confirm(&mut window, 4, false).is_err());
    assert_eq!(confirm(&mut window, 0, true), Ok(vec![1, 2, 3]));
    assert!(confirm(&mut window, 2, false).is_err());
    assert_eq!(confirm(&mut window, 2, true), Ok(vec![]));
}
