import Postgres
import Runtime
import Subscriptions

/// `GET /club/`: every club with its current status.
@main
struct Clubs: HTTPFunction {
    private let catalogue: ClubCatalogue

    init(_ settings: Settings) { catalogue = ClubCatalogue(Database(settings)) }

    func handle(_ event: HTTPEvent, _ context: Context) throws -> HTTPResponse {
        try .json(["clubs": catalogue.all(deadline: context.deadline)])
    }
}
