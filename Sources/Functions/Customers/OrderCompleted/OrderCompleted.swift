import Customers
import Events
import Messaging
import Postgres
import Runtime

/// `order.completed`: remembers when the latest of a customer's completed orders was placed.
@main
struct OrderCompleted: EventFunction {
    init(_ settings: Settings) {}

    /// An email that nobody has is tried again: the customer may be on their way.
    func handle(_ event: CloudEvent<CompletedOrder>, in transaction: Connection, _ context: Context) throws {
        do {
            try event.data.record(
                cause: EventCause(following: event, context), in: transaction, deadline: context.deadline)
        } catch let fault as CompletedOrder.Unusable {
            throw PermanentFault(fault.description)
        }
    }
}
