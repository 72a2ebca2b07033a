import Testing

@testable import Manifest

@Suite struct ScheduleTests {
    @Test(arguments: [
        ("- schedule: rate(1 minute)", 60, true),
        ("- schedule: rate(1 second)", 1, true),
        ("- schedule: 'rate( 90  seconds )'", 90, true),
        ("- schedule: {rate: rate(5 minutes), enabled: true}", 300, true),
        ("- schedule: {rate: rate(2 hours)}", 7200, true),
        ("- schedule:\n          rate: rate(366 days)\n          enabled: false", 31_622_400, false),
    ])
    func spelling(_ event: String, _ seconds: Int, _ isEnabled: Bool) throws {
        let manifest = try manifest(events: event)
        let function = try #require(manifest.functions.first)
        #expect(function.schedule == Schedule(seconds: seconds, isEnabled: isEnabled))
        #expect(function.routes.isEmpty)
        #expect(manifest.warnings.isEmpty)
    }

    private static let form =
        "must be rate(NUMBER UNIT), as in rate(5 minutes), with seconds, minutes, hours or days, not "

    @Test(arguments: [
        ("every minute", "schedule: \(form)\"every minute\""),
        ("cron(0 * * * ? *)", "schedule: \(form)\"cron(0 * * * ? *)\""),
        ("rate(1 week)", "schedule: \(form)\"rate(1 week)\""),
        ("rate(1minute)", "schedule: \(form)\"rate(1minute)\""),
        ("rate(-1 minute)", "schedule: \(form)\"rate(-1 minute)\""),
        ("rate(0 minutes)", "schedule: must be an interval from 1 second to 366 days, not \"rate(0 minutes)\""),
        ("rate(367 days)", "schedule: must be an interval from 1 second to 366 days, not \"rate(367 days)\""),
        (
            "rate(99999999999999999999 days)",
            "schedule: must be an interval from 1 second to 366 days, not \"rate(99999999999999999999 days)\""
        ),
        ("60", "schedule: must be text, not 60"),
        ("[rate(1 minute)]", "schedule: must be text, not a list"),
        ("{enabled: true}", "schedule.rate: is missing; write rate(NUMBER UNIT), as in rate(5 minutes)"),
        ("{rate: rate(1 minute), enabled: maybe}", "schedule.enabled: must be true or false, not the text \"maybe\""),
    ])
    func refusal(_ text: String, _ message: String) {
        #expect(
            problems(events: "- schedule: \(text)") == ["functions.yml:5: functions.f.events[0].\(message)"])
    }

    @Test func aFunctionHasOneScheduleOrRoutes() {
        #expect(
            problems(events: "- schedule: rate(1 minute)", "- httpApi: GET /x", "- schedule: rate(1 day)") == [
                "functions.yml:4: functions.f.events: has 2 schedules; keep one",
                "functions.yml:4: functions.f.events: has a schedule beside a route; make two functions of it: "
                    + "a process serves one or the other",
            ])
    }

    @Test func isAProgramWithoutSocketAndWithoutPartInTheGateway() throws {
        let manifest = try manifest(
            "timeout: 30", "environment: {A: '${param:a}'}", events: "- schedule: rate(2 minutes)")
        var deployment = Deployment.host
        deployment.parameters = ["a": "1"]
        let text = try manifest.supervisordConfiguration(deployment)
        let lines = text.split(separator: "\n").map(String.init)
        for line in [
            "[program:f]", "user=www-data", "stopsignal=TERM", "stopwaitsecs=35", "autorestart=true",
            "    TAPROOM_SCHEDULE=\"120\",", "    TAPROOM_TIMEOUT=\"30\",", "    A=\"1\"",
        ] {
            #expect(lines.contains(line), "\(line)")
        }
        #expect(!text.contains("fcgi-program") && !text.contains("f.sock"))
        #expect(lines.contains { $0.contains("/usr/lib/taproom/FFunction") && $0.contains("/var/log/taproom/f.log") })
        #expect(!manifest.nginxConfiguration(.host).contains("fn_f"))
    }

    @Test func onlyAScheduledFunctionHasTheVariableAndItIsReserved() throws {
        let manifest = try manifest(events: "- httpApi: GET /x")
        let variables = try manifest.environment(of: manifest.functions[0], in: .host).map(\.0)
        #expect(!variables.contains("TAPROOM_SCHEDULE"))
        #expect(
            problems("environment: {TAPROOM_SCHEDULE: 1}", events: "- schedule: rate(1 day)").first?.contains(
                "begins with TAPROOM_") == true)
    }

    @Test func aSwitchedOffScheduleHasNoProcess() throws {
        let manifest = try manifest(events: "- schedule: {rate: rate(1 day), enabled: false}")
        #expect(!(try manifest.supervisordConfiguration(.host)).contains("program:f]"))
    }
}
