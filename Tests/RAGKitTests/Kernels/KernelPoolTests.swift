import Foundation
import RAGKitBLAS
import Testing

/// Counts how often each item ran. The counters are separate memory for each item, or guarded by the lock.
private final class Counters: @unchecked Sendable {
    let counts: UnsafeMutablePointer<Int32>
    let size: Int
    private let lock = NSLock()
    private var workers: Set<Int> = []

    init(_ size: Int) {
        self.size = size
        counts = .allocate(capacity: size)
        counts.initialize(repeating: 0, count: size)
    }

    deinit { counts.deallocate() }

    func saw(worker: Int) { lock.withLock { _ = workers.insert(worker) } }
    var largestWorker: Int { lock.withLock { workers.max() ?? 0 } }
    var allOnce: Bool { (0..<size).allSatisfy { counts[$0] == 1 } }
}

private func run(_ count: Int, _ counters: Counters) {
    ragkit_parallel(
        count,
        { context, item, worker in
            let counters = Unmanaged<Counters>.fromOpaque(context!).takeUnretainedValue()
            counters.counts[item] += 1
            counters.saw(worker: worker)
        }, Unmanaged.passUnretained(counters).toOpaque())
}

#if os(Linux)
    private func priorityOfThisThread() -> Int32 {
        getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0)
    }
#endif

/// The instruction levels that the items of one job see.
private func levelsOfAJob() -> Set<Int32> {
    var levels = [Int32](repeating: -1, count: 300)
    levels.withUnsafeMutableBytes { bytes in
        ragkit_parallel(
            300,
            { context, item, _ in
                usleep(20)  // so that every worker comes
                context!.assumingMemoryBound(to: Int32.self)[item] = ragkit_instruction_level()
            }, bytes.baseAddress)
    }
    return Set(levels)
}

extension KernelTests {
    @Suite(.serialized) struct Pool {
        @Test(arguments: [1, 2, 3, 8])
        func everyItemRunsOnce(threads: Int) {
            let usual = ragkit_thread_count()
            defer { ragkit_set_thread_count(usual) }
            ragkit_set_thread_count(threads)
            #expect(ragkit_thread_count() == threads)
            for count in [0, 1, 2, 3, 100, 10_000] {
                let counters = Counters(count)
                run(count, counters)
                #expect(counters.allOnce)
                #expect(counters.largestWorker < threads)
            }
        }

        @Test func nestedCallsRunInline() {
            let counters = Counters(64)
            ragkit_parallel(
                8,
                { context, outer, _ in
                    var inner = (context!, outer)
                    withUnsafeMutablePointer(to: &inner) { pointer in
                        ragkit_parallel(
                            8,
                            { context, item, worker in
                                let (all, outer) = context!
                                    .assumingMemoryBound(to: (UnsafeMutableRawPointer, Int).self)
                                    .pointee
                                let counters = Unmanaged<Counters>.fromOpaque(all)
                                    .takeUnretainedValue()
                                counters.counts[outer * 8 + item] += 1
                                counters.saw(worker: worker)
                            }, pointer)
                    }
                }, Unmanaged.passUnretained(counters).toOpaque())
            #expect(counters.allOnce)
            #expect(counters.largestWorker == 0)
        }

        @Test func severalCallersAtOnce() {
            let all = (0..<4).map { _ in (0..<500).map { _ in Counters(50) } }
            DispatchQueue.concurrentPerform(iterations: 4) { caller in
                for counters in all[caller] { run(50, counters) }
            }
            #expect(all.joined().allSatisfy { $0.allOnce })
        }

        /// A background thread does all items itself, at a low priority that is its own.
        @Test func aBackgroundThreadWorksAlone() {
            let usual = ragkit_thread_count()
            defer { ragkit_set_thread_count(usual) }
            ragkit_set_thread_count(3)
            let counters = Counters(300)
            let ended = DispatchSemaphore(value: 0)
            let thread = Thread {
                ragkit_work_in_background()
                run(300, counters)
                #if os(Linux)
                    #expect(priorityOfThisThread() == 10)
                #endif
                ended.signal()
            }
            thread.start()
            ended.wait()
            #expect(counters.allOnce && counters.largestWorker == 0)
            #if os(Linux)
                #expect(priorityOfThisThread() == 0)
            #endif
        }

        @Test func manyTinyCalls() {
            let counters = Counters(3)
            for _ in 0..<100_000 { run(3, counters) }
            #expect((0..<3).allSatisfy { counters.counts[$0] == 100_000 })
        }

        @Test func theThreadCountChangesWhileOthersWork() {
            let usual = ragkit_thread_count()
            defer { ragkit_set_thread_count(usual) }
            let all = (0..<2000).map { _ in Counters(20) }
            DispatchQueue.concurrentPerform(iterations: 2) { caller in
                if caller == 0 {
                    for counters in all { run(20, counters) }
                } else {
                    for i in 0..<50 { ragkit_set_thread_count(1 + i % 4) }
                }
            }
            #expect(all.allSatisfy { $0.allOnce })
        }

        @Test func instructionLevelsAreKnown() {
            #expect(kernelLevels.first == 0)
            let usual = ragkit_instruction_level()
            #expect(ragkit_force_instruction_level(99) == kernelLevels.last)
            #expect(ragkit_force_instruction_level(-1) == 0)
            ragkit_force_instruction_level(usual)
            #expect(!String(cString: ragkit_description()).isEmpty)
        }

        /// A forced level is that of the thread and of its jobs, and of nobody else.
        @Test func aForcedLevelIsTheThreadsOwn() {
            let usual = ragkit_instruction_level()
            let threads = ragkit_thread_count()
            defer { ragkit_set_thread_count(threads) }
            ragkit_set_thread_count(3)
            atEachLevel { level in
                #expect(levelsOfAJob() == [level])
                let elsewhere = DispatchQueue(label: "another thread")
                let done = DispatchSemaphore(value: 0)
                let found = UnsafeMutablePointer<Set<Int32>>.allocate(capacity: 1)
                defer { found.deallocate() }
                found.initialize(to: [])
                let place = Int(bitPattern: found)
                elsewhere.async {
                    let found = UnsafeMutablePointer<Set<Int32>>(bitPattern: place)
                    found?.pointee = levelsOfAJob().union([ragkit_instruction_level()])
                    done.signal()
                }
                done.wait()
                #expect(found.move() == [usual])
            }
        }
    }
}
