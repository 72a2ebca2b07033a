import Runtime

/// Subjects of an outbox whose next event a queue did not take: nothing of theirs is sent until it has.
///
/// Which queues an event goes to is decided by its type, so one that is not taken speaks for all of its type. Their
/// subjects wait together. After a pause one of them is tried again; while all that are tried are taken, the next try is
/// of twice as many, without a pause. So a queue that takes nothing costs the others that are bound beside it few repeats,
/// and whoever waits for other types nothing.
struct HeldSubjects {
    /// Remembered at most. Events of further subjects are not sent as long as so many are held: one of them could be
    /// refused, too.
    private static let limit = 10_000
    /// The pause doubles with every try of which nothing is taken.
    private static let pauseMilliseconds = 1000...60_000

    /// Subjects that wait for events of one type.
    private struct Group {
        /// The next to be tried first.
        var subjects: [String] = []
        /// How many are tried together.
        var width = 1
        var pause = HeldSubjects.pauseMilliseconds.lowerBound
        var until = Deadline.after(milliseconds: HeldSubjects.pauseMilliseconds.lowerBound)

        mutating func advance(taken: Int, refused: Int) {
            let range = HeldSubjects.pauseMilliseconds
            (width, pause) =
                switch (taken, refused) {
                case (_, 0): (min(2 * width, HeldSubjects.limit), range.lowerBound)
                case (0, _): (max(1, width / 2), min(2 * pause, range.upperBound))
                default: (taken, range.lowerBound)
                }
            until = .after(milliseconds: refused == 0 ? 0 : pause)
        }
    }

    private var groups: [String: Group] = [:]
    /// Subject to the type that it waits for.
    private var types: [String: String] = [:]
    /// What the present look at the outbox tries.
    private var trial: Trial?

    private struct Trial {
        let type: String
        let subjects: Set<String>
        /// Those with an event that waits.
        var found: Set<String> = []
        var refused: Set<String> = []
    }

    var count: Int { types.count }
    /// Whether some are to be tried now.
    var isDue: Bool { groups.values.contains { $0.until.hasPassed } }

    /// Begins a look at the outbox. Only one type is tried at a time: a queue that does not answer keeps the broker from
    /// confirming what was sent beside.
    /// - Returns: whose events it leaves out.
    mutating func begin() -> [String] {
        let next = groups.filter { $0.value.until.hasPassed }.min { $0.value.until < $1.value.until }
        trial = next.map { Trial(type: $0.key, subjects: Set($0.value.subjects.prefix($0.value.width))) }
        return groups.flatMap { $0.value.subjects.dropFirst($0.key == trial?.type ? $0.value.width : 0) }
    }

    /// Of waiting events in their order, which to send now, and which to try after these: of a subject that is tried the
    /// first. Nothing follows one that is not sent. An event of a type that is not taken is held without being sent.
    mutating func choose(_ rows: [OutboxTable.Row]) -> (free: [OutboxTable.Row], tried: [OutboxTable.Row]) {
        guard !groups.isEmpty else { return (rows, []) }
        var tried: [OutboxTable.Row] = []
        var begun: Set<String> = []
        var left: Set<String> = []
        let free = rows.filter { row in
            let (subject, type) = (row.subject, row.envelope.type)
            if trial?.subjects.contains(subject) == true {
                if trial?.found.insert(subject).inserted == true { tried.append(row) }
                return false
            }
            if types[subject] != nil || left.contains(subject) { return false }
            guard begun.contains(subject) || count + begun.count < Self.limit else {
                left.insert(subject)
                return false
            }
            if groups[type] != nil {
                hold(subject, for: type)
                return false
            }
            begun.insert(subject)
            return true
        }
        return (free, tried)
    }

    /// Learns what came of those that were sent.
    /// - Returns: which of them count. One that follows a refused one of its subject is sent again after that.
    mutating func learn(_ rows: [OutboxTable.Row], refused: [Bool]) -> [Bool] {
        var failed: Set<String> = []
        return zip(rows, refused).map { row, isRefused in
            if isRefused, failed.insert(row.subject).inserted {
                if trial?.subjects.contains(row.subject) == true {
                    trial?.refused.insert(row.subject)
                } else {
                    hold(row.subject, for: row.envelope.type)
                }
            }
            return !failed.contains(row.subject)
        }
    }

    /// Ends the look at the outbox, when all that came of it is learned.
    /// - Parameter isAll: whether it found all that waits: a subject that was tried and not found waits for nothing.
    /// - Returns: whether nothing was taken of what was tried.
    @discardableResult
    mutating func end(isAll: Bool) -> Bool {
        guard let trial, var group = groups[trial.type] else { return false }
        let mine = group.subjects.prefix(while: trial.subjects.contains)
        let refused = mine.filter(trial.refused.contains)
        let unseen = isAll ? [] : mine.filter { !trial.found.contains($0) }
        for subject in trial.subjects.subtracting(refused).subtracting(unseen) { types[subject] = nil }
        group.subjects = unseen + group.subjects.dropFirst(mine.count) + refused
        let taken = mine.count - refused.count - unseen.count
        group.advance(taken: taken, refused: refused.count)
        groups[trial.type] = group.subjects.isEmpty ? nil : group
        self.trial = nil
        return taken == 0 && !refused.isEmpty
    }

    /// The broker has been away: that nothing was taken says nothing about any queue.
    mutating func endPauses() {
        for type in groups.keys {
            groups[type]?.pause = Self.pauseMilliseconds.lowerBound
            groups[type]?.until = .after(milliseconds: 0)
        }
    }

    private mutating func hold(_ subject: String, for type: String) {
        // It may be held already for an event after this one.
        if let former = types.updateValue(type, forKey: subject) {
            groups[former]?.subjects.removeAll { $0 == subject }
        }
        groups[type, default: Group()].subjects.append(subject)
    }
}
